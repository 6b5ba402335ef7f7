"""What a verifier remembers in a file."""

from pathlib import Path

import pytest

from tests.support.commands import run
from tests.support.signed_trail import SignedTrail
from tests.verifying.bundles import verified


@pytest.mark.parametrize("backend", ["sqlite"])  # it is about a file
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
