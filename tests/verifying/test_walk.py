"""Work that other processes do, and what it costs when everything is wrong."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from audit_service.storage.outages import driver_error
from audit_service.verifying.findings import Code
from tests.support.commands import run
from tests.support.signed_trail import SignedTrail
from tests.verifying.bundles import read, verified, write
from tests.verifying.trails import Trail

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])


def test_an_error_in_another_process_is_the_one_of_its_database(trail: Trail) -> None:
    path = Path(str(trail.parsed.database))
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((page,),) = file.execute("SELECT rootpage FROM sqlite_master WHERE name = 'trail_leaves'")
        ((size,),) = file.execute("PRAGMA page_size")
    with path.open("r+b") as raw:  # the begin reads its index only, which is on other pages
        raw.seek((page - 1) * size)
        raw.write(b"\xff" * size)
    with pytest.raises(DBAPIError) as raised:
        trail.verify(jobs=2)
    assert str(driver_error(raised.value)) == "database disk image is malformed"


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


def test_a_memory_that_remembers_nothing_is_not_overwritten(signed: SignedTrail, tmp_path: Path) -> None:
    memory = tmp_path / "seen"
    run("bundle", str(tmp_path / "history.tar"))
    options = ("--vkey", signed.verifier, "-j", 1, "--remember", memory)
    assert verified(tmp_path / "history.tar", *options)[0].exit_code == 0
    assert memory.read_bytes() == signed.note()
    memory.write_bytes(b"")
    result, _ = verified(tmp_path / "history.tar", *options)
    assert (result.exit_code, "seen is no checkpoint" in result.stderr) == (2, True)
    assert memory.read_bytes() == b""
