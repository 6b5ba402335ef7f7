"""What it costs when everything is wrong."""

from pathlib import Path

import pytest

from audit_service.verifying.findings import Code
from tests.support.commands import run
from tests.support.signed_trail import SignedTrail
from tests.verifying.bundles import read, verified, write


@pytest.mark.parametrize("backend", ["sqlite"])  # bundles of both are the same
def test_of_many_changes_the_first_are_named_and_all_are_counted(
    signed: SignedTrail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_service.verifying.tree.MOST_SUSPECTS", 5)
    run("bundle", str(tmp_path / "history.tar"))
    files = read(tmp_path / "history.tar")
    count = files["events.jsonl"].count(b'"outcome":"success"')
    files["events.jsonl"] = files["events.jsonl"].replace(b'"outcome":"success"', b'"outcome":"failure"')
    write(tmp_path / "changed.tar", files)
    result, codes = verified(tmp_path / "changed.tar", "--vkey", signed.verifier, "-j", 1)
    assert (result.exit_code, codes) == (1, {Code.ROW_CHANGED})
    assert f'"counts":{{"row_changed":{count}}}' in result.stdout
    assert result.stdout.count('"table":"login_events"') == 5
