"""The bundle: what is in it, by no code of ours, and that it is whole or not there."""

import hashlib
import json
import tarfile
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, text

from audit_service.proofs.bundle_format import LONGEST_LINE
from audit_service.proofs.checkpoint import open_checkpoint
from audit_service.proofs.entry import Group, commitment
from audit_service.proofs.jcs import jcs
from audit_service.proofs.merkle import leaf_hash, root, verify_inclusion
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.commands import run
from tests.support.signed_trail import SignedTrail


class Bundle:
    """What tarfile reads."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as archive:
            members = archive.getmembers()
            assert all(member.isfile() for member in members)
            self.names = [member.name for member in members]
            self.files = {name: archive.extractfile(name).read() for name in self.names}  # type: ignore[union-attr]
        assert len(self.files) == len(self.names)

    def lines(self, name: str) -> list[Any]:
        return [json.loads(line) for line in self.files[name].splitlines()]


@pytest.fixture
def trail(app: Flask, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SignedTrail]:
    monkeypatch.setenv("AUDIT_DATABASE_URL", database_url)
    monkeypatch.setenv("AUDIT_DATA_DIR", str(tmp_path / "data"))
    for count in range(300):
        LoginFactory(username=f"user{count}", details={"count": count, "name": "Zo\u00eb"})
    ErrorFactory(traceback="x" * 16_384, message='a "quoted" line\nand \u2028 another')
    AdminFactory()
    with closing(SignedTrail(database_url, tmp_path / "signer")) as trail:
        yield trail


@pytest.mark.parametrize("name", ["history.tar", "history.tar.gz"])
def test_everything(trail: SignedTrail, tmp_path: Path, name: str) -> None:
    older, older_note = trail.sign(), trail.note()
    LoginFactory()
    newest, newest_note = trail.sign(), trail.note()
    LoginFactory()  # which is not signed yet
    done = run("bundle", str(tmp_path / name))
    assert done.exit_code == 0, done.output
    assert f"bundled all events of {trail.origin}, whose checkpoint is of {newest.size}, to " in done.stderr
    bundle = Bundle(tmp_path / name)
    assert bundle.names[:3] == ["README.txt", "manifest.json", "checkpoint"]
    assert bundle.names[-2:] == ["erasures.jsonl", "events.jsonl"]
    assert bundle.files["checkpoint"] == newest_note
    log_id = trail.origin.rpartition("/")[2]
    stored = {name: note for name, note in bundle.files.items() if name.startswith("checkpoints/")}
    notes = {older.size: older_note, newest.size: newest_note}
    assert stored == {f"checkpoints/{log_id}/{size}": note for size, note in notes.items()}
    lines = bundle.files["events.jsonl"].splitlines()
    assert max(map(len, lines)) < LONGEST_LINE
    leaves = [check_line(line) for line in lines]
    assert [json.loads(line)["entry"]["seq"] for line in lines] == list(range(1, newest.size + 1))
    for signed in (older, newest):
        assert root(leaves[: signed.size]) == signed.root
    assert bundle.files["tile/0/000"] + bundle.files[f"tile/0/001.p/{newest.size - 256}"] == b"".join(leaves)
    assert bundle.files["tile/1/000.p/1"] == root(leaves[:256])
    manifest = json.loads(bundle.files["manifest.json"])
    assert (manifest["from"], manifest["to"], manifest["size"]) == (1, newest.size, newest.size)
    assert manifest["claims_completeness"] is True
    assert manifest["fields"]["login"]["who"] == ["details", "username"]


def check_line(line: bytes) -> bytes:
    """Check the commitments in a line by its own bytes; return its leaf."""
    event = json.loads(line)
    for group in Group:
        text_ = jcs(event[group])
        assert f'"{group}":'.encode() + text_ in line
        assert commitment(group, text_, b64decode(event["openings"][group])).hex() == event["entry"][group]
    entry = jcs(event["entry"])
    assert line.startswith(b'{"entry":' + entry)
    return leaf_hash(entry)


def test_a_part_has_a_proof_of_each_event(trail: SignedTrail, tmp_path: Path) -> None:
    newest = trail.sign()
    done = run("bundle", str(tmp_path / "part.tar"), "--from", "250", "--to", "260")
    assert f"bundled events 250 to 260 of {trail.origin}, whose" in done.stderr
    bundle = Bundle(tmp_path / "part.tar")
    assert bundle.names == ["README.txt", "manifest.json", "checkpoint", "erasures.jsonl", "events.jsonl"]
    checkpoint = open_checkpoint(bundle.files["checkpoint"], trail.origin, [trail.verifier])
    assert checkpoint.size == newest.size
    for seq, line in enumerate(bundle.files["events.jsonl"].splitlines(), 250):
        proof = [b64decode(each) for each in json.loads(line)["proof"]]
        verify_inclusion(seq - 1, checkpoint.size, check_line(line), proof, checkpoint.root)
    assert seq == 260
    assert json.loads(bundle.files["manifest.json"])["claims_completeness"] is False


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--from", "9", "--to", "8"), "--from must be no larger than --to"),
        (("--to", "100000"), "events are signed up to"),
        (("--from", "100000"), "--from must be no larger than --to"),
        (("--from", "0"), "0 is not in the range"),
    ],
)
def test_a_part_that_is_not_there(trail: SignedTrail, tmp_path: Path, options: tuple[str, ...], told: str) -> None:
    trail.sign()
    done = run("bundle", str(tmp_path / "part.tar"), *options)
    assert done.exit_code != 0
    assert told in done.stderr
    assert not list(tmp_path.glob("*part*"))


@pytest.mark.parametrize("backend", ["sqlite"])
def test_what_is_there_is_not_replaced(trail: SignedTrail, tmp_path: Path) -> None:
    file = tmp_path / "history.tar"
    assert "there is no checkpoint yet" in run("bundle", str(file)).stderr
    assert not file.exists()
    trail.sign()
    file.write_text("mine")
    assert "exists already" in run("bundle", str(file)).stderr
    assert file.read_text() == "mine"
    assert run("bundle", str(file), "--force").exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_was_erased_or_is_missing(trail: SignedTrail, tmp_path: Path, engine: Engine) -> None:
    trail.sign()
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO trail_erasures VALUES (5, 'who', :kept, 6)"), {"kept": hashlib.sha256().digest()}
        )
        found = connection.execute(text("SELECT opening FROM trail_leaves WHERE seq = 5")).scalar_one()
        connection.execute(
            text("UPDATE trail_leaves SET opening = :opening WHERE seq = 5"), {"opening": bytes(16) + found[16:]}
        )
        connection.execute(text("UPDATE trail_leaves SET opening = NULL WHERE seq = 7"))
    done = run("bundle", str(tmp_path / "history.tar"))
    assert "1 of them are not there" in done.stderr
    bundle = Bundle(tmp_path / "history.tar")
    event = bundle.lines("events.jsonl")[4]
    assert (event["who"], event["openings"]["who"], event["entry"]["who"]) == (None, None, hashlib.sha256().hexdigest())
    assert event["where"]
    assert [each["entry"]["seq"] for each in bundle.lines("events.jsonl")[:8]] == [1, 2, 3, 4, 5, 6, 8, 9]
    assert bundle.lines("erasures.jsonl") == [
        {"by_seq": 6, "commitment": hashlib.sha256().hexdigest(), "group": "who", "seq": 5}
    ]
