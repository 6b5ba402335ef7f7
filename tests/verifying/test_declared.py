"""Nothing can be said of an event that is declared missing: its leaf holds no field that a line could show."""

from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from audit_service.proofs.entry import missing_entry
from audit_service.signing.lifecycle import restart_log
from audit_service.verifying.findings import Code
from tests.support.accounts import ACTOR
from tests.support.commands import run
from tests.support.signed_trail import NAME, SignedTrail
from tests.verifying.bundles import read, verified, write

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])  # bundles of both are the same

SEQ = 100


@pytest.fixture
def declared(signed: SignedTrail) -> SignedTrail:
    """A trail that lacks an event, which its log says."""
    with signed.tampering() as connection:
        connection.execute(text(f"DELETE FROM login_events WHERE seq = {SEQ}"))
    restart_log(signed.database, signed.key_file, NAME, "an event was removed", by=ACTOR)
    signed.sign()
    return signed


SHOWN = [
    (b'"who":null', b'"who":{"details":null,"username":"ada"}'),
    (b'"where":null', b'"where":{}'),
    (b'"openings":null', b'"openings":{"where":null,"who":null}'),
    (b',"who":null', b', "who":null'),
]


@pytest.mark.parametrize("span", [(), ("--from", 90, "--to", 110)])
def test_a_line_shows_nothing_of_it(declared: SignedTrail, tmp_path: Path, span: tuple[object, ...]) -> None:
    path = tmp_path / "history.tar"
    assert run("bundle", str(path), *map(str, span)).exit_code == 0
    result, codes = verified(path, "--vkey", declared.verifier)
    assert (result.exit_code, codes) == (0, set()), result.output
    assert "1 event was declared missing" in result.stdout
    whole = read(path)
    start = b'{"entry":' + missing_entry(SEQ)
    (line,) = (each for each in whole["events.jsonl"].splitlines(keepends=True) if each.startswith(start))
    for found, put in SHOWN:
        changed = line.replace(found, put)
        assert changed != line
        write(path, {**whole, "events.jsonl": whole["events.jsonl"].replace(line, changed)})
        result, codes = verified(path, "--vkey", declared.verifier)
        assert (result.exit_code, codes) == (1, {Code.BAD_FORM}), (put, result.output)


def test_a_proof_shows_nothing_of_it(declared: SignedTrail, tmp_path: Path) -> None:
    path = tmp_path / "history.tar"
    assert run("bundle", str(path), "--from", str(SEQ), "--to", str(SEQ)).exit_code == 0
    files = read(path)
    hashes = msgspec.json.decode(files["events.jsonl"])["proof"]
    proof = "\n".join(["c2sp.org/tlog-proof@v1", f"index {SEQ - 1}", *hashes, "", files["checkpoint"].decode()])
    given = {"entry": msgspec.Raw(missing_entry(SEQ)), "openings": None, "proof": proof, "where": None, "who": None}
    proof_file = tmp_path / "proof.json"
    for who, expected in ((None, (0, set())), ({"username": "ada"}, (1, {Code.BAD_FORM}))):
        proof_file.write_bytes(msgspec.json.encode({**given, "who": who}))
        result, codes = verified(proof_file, "--vkey", declared.verifier)
        assert (result.exit_code, codes) == expected, result.output
