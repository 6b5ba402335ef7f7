"""Proofs of events by the API, checked as a stranger checks them; and the files of the log."""

import json
import re
import sqlite3
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from sqlalchemy import event as sqlalchemy_event

from audit_service.context import context_of
from audit_service.proofs.entry import Group, commitment
from audit_service.proofs.jcs import jcs
from audit_service.proofs.merkle import leaf_hash, root, verify_consistency
from audit_service.proofs.tlog_proof import check_tlog_proof, parse_tlog_proof
from audit_service.vocabulary import AdminAction, Role
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.accounts import PASSWORD
from tests.support.reader import Reader
from tests.support.signed_trail import SignedTrail


@pytest.fixture
def trail(app: Flask, database_url: str, tmp_path: Path) -> Iterator[SignedTrail]:
    with closing(SignedTrail(database_url, tmp_path / "signer")) as trail:
        yield trail


def check(trail: SignedTrail, answer: dict[str, Any]) -> int:
    """Check an event's proof and its openings with what the answer has; return the size of its checkpoint."""
    entry = answer["entry"]
    for group in Group:
        if answer[group] is not None:
            opening = b64decode(answer["openings"][group])
            assert commitment(group, jcs(answer[group]), opening).hex() == entry[group]
    proof = parse_tlog_proof(answer["proof"].encode())
    assert proof.index == entry["seq"] - 1
    return check_tlog_proof(proof, jcs(entry), trail.origin, [trail.verifier]).size


def test_an_event_of_each_kind(reader: Reader, trail: SignedTrail) -> None:
    events = {
        "logins": LoginFactory(username="Åsa", details={"a": 1.0, "b": [1e-7, None, "ü"]}, remote_addr="2001:db8::1"),
        "errors": ErrorFactory(),
        "admin-events": AdminFactory(),
    }
    signed = trail.sign()
    for collection, event in events.items():
        answer = reader.get(f"/api/{collection}/{event.id}/proof")
        assert answer.status_code == 200, answer.text
        given = answer.get_json()
        assert given["entry"]["id"] == str(event.id)
        assert check(trail, given) == signed.size
    assert given["who"]["actor"] == event.actor
    given = reader.get(f"/api/logins/{events['logins'].id}/proof").get_json()
    assert given["who"] == {"details": {"a": 1, "b": [1e-7, None, "ü"]}, "username": "Åsa"}
    assert given["where"]["remote_addr"] == "2001:db8::1"


def test_the_proof_alone(client: FlaskClient, token: dict[str, str], trail: SignedTrail) -> None:
    event = LoginFactory()
    trail.sign()
    path = f"/api/logins/{event.id}/proof"
    alone = client.get(path, headers={**token, "Accept": "text/plain"})
    assert alone.content_type == "text/plain; charset=utf-8"
    given = client.get(path, headers=token).get_json()
    assert alone.text == given["proof"]
    assert alone.text.startswith("c2sp.org/tlog-proof@v1\nindex ")


def test_a_proof_is_of_the_newest_checkpoint_with_its_cosignatures(
    reader: Reader, trail: SignedTrail, engine: Engine
) -> None:
    event = LoginFactory()
    first, first_note = trail.sign(), trail.note()
    for _ in range(300):
        LoginFactory()
    second = trail.sign()
    line = "\u2014 witness.example.org AAAAAAAA"
    with engine.begin() as connection:
        for name, stored in (("witness.example.org", line), ("hook", None)):
            connection.execute(
                text("INSERT INTO trail_confirmations VALUES (:log, :size, :name, '2026-01-01 00:00:00+00', :line)"),
                {"log": trail.origin.rpartition("/")[2], "size": second.size, "name": name, "line": stored},
            )
    assert check(trail, reader.get(f"/api/logins/{event.id}/proof").get_json()) == second.size
    newest = reader.get("/trail/checkpoint")
    assert newest.data == trail.note() + f"{line}\n".encode()
    assert newest.content_type == "text/plain; charset=utf-8"
    assert reader.get("/trail/checkpoint", size=first.size).data == first_note
    assert reader.get("/trail/checkpoint", size=first.size + 1).status_code == 404
    assert reader.get(f"/api/logins/{event.id}/proof").get_json()["proof"].endswith(newest.text)


def test_what_is_not_signed_yet(reader: Reader, trail: SignedTrail) -> None:
    event = LoginFactory()
    for _ in range(2):
        answer = reader.get(f"/api/logins/{event.id}/proof")
        assert (answer.status_code, answer.headers["Retry-After"]) == (409, "5")
        assert answer.get_json()["type"] == "/api/problems/not-signed-yet"
        trail.sign()
        event = LoginFactory()
    assert reader.get("/api/logins/00000000-0000-7000-8000-000000000000/proof").status_code == 404
    assert reader.get("/api/logins/1/proof").status_code == 404


@contextmanager
def counting(engine: Engine, file: Path) -> Iterator[Callable[[], int]]:
    """Count what the connections of *engine* send, but for what asks whether one from the pool lives."""
    statements: list[str] = []
    traced: list[Any] = []

    def trace(connection: Any, _record: object, _proxy: object) -> None:
        traced.append(connection)
        if isinstance(connection, sqlite3.Connection):
            connection.set_trace_callback(statements.append)
        else:
            connection.pgconn.trace(output.fileno())

    def count() -> int:
        messages = re.findall(r"\tF\t\d+\t(?:Query|Execute)\t(.*)", file.read_text())
        return len([each for each in [*statements, *messages] if each.strip(' ";') not in ("", "SELECT 1")])

    with file.open("w") as output:
        sqlalchemy_event.listen(engine, "checkout", trace)
        try:
            yield count
        finally:
            sqlalchemy_event.remove(engine, "checkout", trace)
            for each in traced:
                if isinstance(each, sqlite3.Connection):
                    each.set_trace_callback(None)
                else:
                    each.pgconn.untrace()


def test_a_proof_takes_four_statements_and_a_transaction(
    app: Flask, reader: Reader, trail: SignedTrail, tmp_path: Path
) -> None:
    login = LoginFactory()
    for _ in range(600):
        LoginFactory()
    trail.sign()
    sent = []
    for path in (f"/api/logins/{login.id}", f"/api/logins/{login.id}/proof"):
        for _ in range(3):  # the look is recorded, and connections are in the pool
            reader.get(path)
        with counting(context_of(app).reader, tmp_path / "sent") as count:
            assert reader.get(path).status_code == 200
            sent.append(count())
    alone, proof = sent
    assert alone >= 2  # those of the token and of the event
    # The log with its checkpoint, the event, its leaf, and all hashes, between BEGIN and COMMIT.
    assert proof - alone == 6


def test_without_a_checkpoint_there_are_no_files(reader: Reader) -> None:
    for path in ("checkpoint", "tile/0/000", "tile/entries/000"):
        assert reader.get(f"/trail/{path}").status_code == 404
    assert reader.get("/trail/consistency", old=0).status_code == 404


def test_who_may_see_which_proof(app: Flask, accounts: dict[Role, str], trail: SignedTrail) -> None:
    client = app.test_client()
    client.post("/login/", data={"username": accounts[Role.USER], "password": PASSWORD})
    own, other, error = LoginFactory(username=accounts[Role.USER]), LoginFactory(username="bob"), ErrorFactory()
    trail.sign()
    assert check(trail, client.get(f"/api/logins/{own.id}/proof").get_json())
    assert client.get(f"/api/logins/{other.id}/proof").status_code == 404
    assert client.get(f"/api/errors/{error.id}/proof").status_code == 403
    for path in ("checkpoint", "tile/0/000", "tile/entries/000", "consistency?old=0"):
        assert client.get(f"/trail/{path}").status_code == 403
        assert app.test_client().get(f"/trail/{path}").status_code == 401


def test_a_look_at_a_proof_is_recorded_and_one_at_hashes_is_not(reader: Reader, trail: SignedTrail) -> None:
    event = LoginFactory()
    trail.sign()
    for path in ("/trail/checkpoint", "/trail/tile/entries/000", f"/api/logins/{event.id}/proof"):
        reader.get(path)
    looks = reader.get("/api/admin-events", action=AdminAction.HISTORY_READ).get_json()["items"]
    assert [each["target"] for each in looks if each["target"] != "/api/admin-events"] == [
        f"/api/logins/{event.id}/proof"
    ]


def test_the_tree_of_the_files_is_the_one_that_is_signed(reader: Reader, trail: SignedTrail) -> None:
    for _ in range(600):
        LoginFactory()
    checkpoint = trail.sign()
    leaves: list[bytes] = []
    for number, width in ((0, 256), (1, 256), (2, checkpoint.size - 512)):
        partial = f".p/{width}" if width < 256 else ""
        tile = reader.get(f"/trail/tile/0/00{number}{partial}")
        entries = reader.get(f"/trail/tile/entries/00{number}{partial}")
        for answer in (tile, entries):
            assert answer.content_type == "application/octet-stream"
            assert ("immutable" in answer.headers["Cache-Control"]) is (width == 256)
        hashes = [tile.data[place : place + 32] for place in range(0, len(tile.data), 32)]
        assert hashes == [leaf_hash(entry) for entry in unbundled(entries.data)]
        assert len(hashes) == width
        leaves += hashes
    assert root(leaves) == checkpoint.root
    level1 = reader.get("/trail/tile/1/000.p/2").data
    assert level1 == root(leaves[:256]) + root(leaves[256:512])
    assert json.loads(unbundled(entries.data)[0])["seq"] == 513


def unbundled(data: bytes) -> list[bytes]:
    entries = []
    while data:
        size = int.from_bytes(data[:2])
        entries.append(data[2 : 2 + size])
        data = data[2 + size :]
    return entries


def test_tiles_that_are_not_there(reader: Reader, trail: SignedTrail) -> None:
    for _ in range(10):
        LoginFactory()
    size = trail.sign().size
    LoginFactory()  # which is not signed
    there = f"/trail/tile/0/000.p/{size}"
    assert len(reader.get(there).data) == 32 * size
    assert len(reader.get("/trail/tile/0/000.p/1").data) == 32
    for path in (f"0/000.p/{size + 1}", "0/000", "1/000.p/1", "0/001.p/1", "0/0", "x", "entries/000", "entries/0"):
        assert reader.get(f"/trail/tile/{path}").status_code == 404, path


@pytest.mark.parametrize(("old", "new"), [(1, 2), (3, 7), (4, 12), (11, None), (12, 12), (0, 5)])
def test_consistency(reader: Reader, trail: SignedTrail, old: int, new: int | None) -> None:
    for _ in range(12):
        LoginFactory()
    size = trail.sign().size
    answer = reader.get("/trail/consistency", old=old, **({} if new is None else {"new": new}))
    proof = [b64decode(line) for line in answer.text.splitlines()]
    data = reader.get(f"/trail/tile/0/000.p/{size}").data
    leaves = [data[place : place + 32] for place in range(0, len(data), 32)]
    if old == 0:
        assert proof == []
    else:
        end = new or size
        verify_consistency(old, end, proof, root(leaves[:old]), root(leaves[:end]))


def test_trees_that_are_not_there(reader: Reader, trail: SignedTrail) -> None:
    size = trail.sign().size
    assert reader.get("/trail/consistency", old=size + 1).status_code == 404
    assert reader.get("/trail/consistency", old=1, new=size + 1).status_code == 404
    assert reader.get("/trail/consistency", old=2, new=1).status_code == 404


@pytest.mark.parametrize("backend", ["sqlite"])  # whose triggers are dropped by one statement each
def test_a_changed_event_gets_no_proof(reader: Reader, trail: SignedTrail, engine: Engine) -> None:
    event = LoginFactory(username="ada")
    trail.sign()
    with engine.begin() as connection:
        names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
        for name in names:
            connection.execute(text(f"DROP TRIGGER {name}"))
        connection.execute(text("UPDATE login_events SET username = 'eve' WHERE username = 'ada'"))
    seq = reader.get(f"/api/logins/{event.id}").get_json()["seq"]
    for path in (f"/api/logins/{event.id}/proof", "/trail/tile/entries/000.p/2"):
        answer = reader.get(path)
        assert answer.status_code == 500
        assert f"event {seq} is not the one that was signed" in answer.get_json()["detail"]


def test_what_was_erased_is_null(reader: Reader, trail: SignedTrail, engine: Engine) -> None:
    """As the tables are after an erasure: the commitment is kept, the opening is not."""
    event = LoginFactory(username="ada")
    trail.sign()
    before = reader.get(f"/api/logins/{event.id}/proof").get_json()
    seq = before["entry"]["seq"]
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO trail_erasures VALUES (:seq, 'who', :kept, :seq)"),
            {"seq": seq, "kept": bytes.fromhex(before["entry"]["who"])},
        )
        connection.execute(
            text("UPDATE trail_leaves SET opening = :opening WHERE seq = :seq"),
            {"seq": seq, "opening": bytes(16) + b64decode(before["openings"]["where"])},
        )
    after = reader.get(f"/api/logins/{event.id}/proof").get_json()
    assert after["entry"] == before["entry"]
    assert (after["who"], after["openings"]["who"]) == (None, None)
    assert after["where"] == before["where"]
    check(trail, after)


def test_below_the_floor(reader: Reader, trail: SignedTrail, engine: Engine) -> None:
    event = LoginFactory()
    for _ in range(300):
        LoginFactory()
    trail.sign()
    with engine.begin() as connection:
        connection.execute(text("UPDATE trail_log SET floor = 256"))
    for path in (f"/api/logins/{event.id}/proof", "/trail/tile/entries/000"):
        answer = reader.get(path)
        assert answer.status_code == 410
        assert answer.get_json()["type"] == "/api/problems/removed"
    assert reader.get("/trail/tile/0/000").status_code == 200
    assert reader.get("/trail/tile/entries/001.p/44").status_code == 200


def test_the_files_of_a_host_are_below_its_api(host: Flask) -> None:
    rules = {rule.rule for rule in host.url_map.iter_rules() if rule.endpoint.startswith("audit_log")}
    assert len(rules) == 4
    assert all(re.match("/api/trail/(checkpoint|tile/|consistency)", rule) for rule in rules)
    described = host.test_client().get("/api/openapi.json").get_json()["paths"]
    assert "/api/trail/checkpoint" in described
