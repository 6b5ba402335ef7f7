"""A single event with its proof, as the API gives it: verified by what it is, and by nothing but its content."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient

from audit_service.proofs.keys import Algorithm, new_key
from audit_service.verifying.findings import Code
from tests.factories import LoginFactory
from tests.support.commands import run
from tests.support.signed_trail import SignedTrail
from tests.verifying.bundles import verified

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])  # the API's tests get proofs from both

Given = dict[str, Any]


@pytest.fixture
def given(app: Flask, client: FlaskClient, token: dict[str, str], signed: SignedTrail) -> Given:
    """What the API says of an event, which is not the last one."""
    event = LoginFactory(username="Zo\u00eb", details={"a": [1.5, None], "b": "\u202e"}, remote_addr="2001:db8::1")
    LoginFactory()
    signed.sign()
    answer: Given = client.get(f"/api/logins/{event.id}/proof", headers=token).get_json()
    return answer


def save(given: Given, path: Path) -> Path:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(given), indent=2))
    return path


def test_a_proof_as_the_api_gives_it(signed: SignedTrail, given: Given, tmp_path: Path) -> None:
    path = save(given, tmp_path / "proof.json")
    done = run("verify", str(path), "--vkey", str(signed.verifier))
    assert done.exit_code == 0, done.output
    entry, where, who, conclusion = done.stdout.splitlines()
    assert entry.startswith('entry: {"action":')
    assert '"remote_addr":"2001:db8::1"' in where
    assert who == r'who: {"details":{"a":[1.5,null],"b":"\u202e"},"username":"Zoë"}'
    seq, at = given["entry"]["seq"], given["entry"]["recorded_at"]
    assert conclusion == (
        f"proven: this event, recorded at {at}, is number {seq} of the log {signed.origin}, by its checkpoint of "
        f"{signed.newest().size}, signed by {signed.verifier}; nothing is said of other events"
    )
    told = msgspec.json.decode(run("verify", str(path), "--vkey", str(signed.verifier), "--json").stdout)
    assert told["event"] == {"entry": given["entry"], "where": given["where"], "who": given["who"]}


def test_who_signs_is_asked(signed: SignedTrail, given: Given, tmp_path: Path) -> None:
    path = save(given, tmp_path / "proof.json")
    result, codes = verified(path)
    assert (result.exit_code, codes) == (2, {Code.NO_KEY})
    result, codes = verified(path, "--vkey", new_key(signed.origin).verifier)
    assert (result.exit_code, codes) == (1, {Code.UNKNOWN_KEY})
    witness = new_key("w.example", Algorithm.COSIGNATURE).verifier
    (tmp_path / "policy").write_text(f"log {signed.verifier}\nwitness w {witness}\nquorum w\n")
    result, codes = verified(path, "--policy", tmp_path / "policy")
    assert (result.exit_code, codes) == (2, {Code.NO_QUORUM})
    (tmp_path / "newest").write_bytes(signed.note())
    result, codes = verified(path, "--vkey", signed.verifier, "--against", tmp_path / "newest")
    assert (result.exit_code, codes) == (0, set())


def proof(found: str, put: str) -> Callable[[Given], None]:
    def change(given: Given) -> None:
        changed = re.sub(found, put, given["proof"], count=1)
        assert changed != given["proof"]
        given["proof"] = changed

    return change


CHANGES: list[tuple[Callable[[Given], object], int, Code | str]] = [
    (lambda given: given["entry"].update(outcome="failure"), 1, Code.ROW_CHANGED),
    (lambda given: given["entry"].update(who=given["entry"]["where"]), 1, Code.TILE_CHANGED),
    (lambda given: given["entry"].update(seq=9), 1, Code.BAD_FORM),
    (lambda given: given["entry"].update(extra="x"), 1, Code.BAD_FORM),
    (lambda given: given["who"].update(username="eve"), 1, Code.ROW_CHANGED),
    (lambda given: given.update(where={}), 1, Code.ROW_CHANGED),
    (lambda given: given.update(who=None), 1, Code.ROW_CHANGED),
    (lambda given: given["openings"].update(who=None), 1, Code.OPENING_MISSING),
    (proof(r"\n(.{44})\n(.{44})\n", r"\n\2\n\1\n"), 1, Code.ROW_CHANGED),
    (proof(r"\n.{44}\n", r"\n"), 1, Code.ROW_CHANGED),
    (proof(r"\n(\d)(\d+)\n(.{44}\n\n)", r"\n\g<1>0\2\n\3"), 1, Code.BAD_CHECKPOINT),
    (proof(r"index \d+", "index 3"), 1, Code.BAD_FORM),
    (proof(r"index \d+", "index 9000"), 2, "there is no leaf 9000"),
    (proof(r"index", "place"), 2, "a proof has a line 'index NUMBER'"),
    (lambda given: given.pop("openings"), 2, "missing required field `openings`"),
    (lambda given: given["who"].update(details={"a": 2**60}), 2, "no integer that every reader of JSON knows"),
]


def test_what_was_changed_is_found(signed: SignedTrail, given: Given, tmp_path: Path) -> None:
    whole = msgspec.json.encode(given)
    for place, (change, status, told) in enumerate(CHANGES):
        changed = msgspec.json.decode(whole)
        change(changed)
        result, codes = verified(save(changed, tmp_path / "changed.json"), "--vkey", signed.verifier)
        found = told in codes if isinstance(told, Code) else told in result.stderr
        assert (result.exit_code, found) == (status, True), (place, result.output)


def test_what_was_erased_is_told(
    client: FlaskClient, token: dict[str, str], signed: SignedTrail, given: Given, tmp_path: Path
) -> None:
    assert run("erase", "--username", "Zo\u00eb", "--groups", "who", "--reason", "asked for", "--yes").exit_code == 0
    given = client.get(f"/api/logins/{given['entry']['id']}/proof", headers=token).get_json()
    done = run("verify", str(save(given, tmp_path / "proof.json")), "--vkey", str(signed.verifier))
    assert (done.exit_code, "\nwho: erased\n" in done.stdout) == (0, True), done.output
    assert "; personal data of 1 event were erased; nothing is said of other events" in done.stdout


def test_what_is_no_event_with_its_proof(given: Given, tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content, told in (
        (given["proof"].encode(), "this proof does not have the event that it proves"),
        (b"{", "no event with its proof"),
        (msgspec.json.encode(given).replace(b'"proof":"', rb'"proof":"\ud800'), "no event with its proof"),
        (b'{"entry":' + b"[" * 100_000, "no event with its proof"),
        (b"{" + b" " * 5_000_000, "is larger than 4194304 bytes"),
    ):
        path.write_bytes(content)
        done = run("verify", str(path))
        assert (done.exit_code, told in done.stderr) == (2, True), done.output
    done = run("verify", "/dev/zero", "--against", "/dev/zero")
    assert (done.exit_code, "/dev/zero is larger than 65536 bytes" in done.stderr) == (2, True)
    done = run("verify", "/dev/zero", "--policy", "/dev/zero")
    assert (done.exit_code, "/dev/zero is larger than 262144 bytes" in done.stderr) == (2, True)
    done = run("verify", "/dev/zero")
    assert (done.exit_code, "a regular file, which a bundle has to be" in done.stderr) == (2, True)
