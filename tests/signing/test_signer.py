"""The signer: what it signs, what stops it, and what does not."""

import os
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text

from audit_service.errors import AuditError, NotConfiguredError, SettingsError, SignerStopped
from audit_service.events.base import NewEvent
from audit_service.proofs.keys import new_key
from audit_service.proofs.merkle import verify_consistency, verify_inclusion
from audit_service.proving.leaves import read_leaves
from audit_service.proving.tiles import StoredTree
from audit_service.signing import signer as module
from audit_service.signing.key_file import read_keys, write_keys
from audit_service.signing.lifecycle import restart_log, rotate_key
from audit_service.signing.signer import LogChanged
from audit_service.storage.log_models import TrailCheckpoint, TrailLeaf
from audit_service.storage.models import AdminEvent
from audit_service.trail.append import append_within
from audit_service.trail.recorder import Recorder
from audit_service.vocabulary import AdminAction
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.accounts import ACTOR
from tests.support.signed_trail import SignedTrail


def fill(recorder: Recorder, count: int) -> None:
    recorder.record_all(LoginFactory.copies(count))


def stopped(trail: SignedTrail) -> str:
    with pytest.raises(SignerStopped) as stop:
        trail.sign()
    return stop.value.code


def test_each_event_is_a_leaf_and_each_tree_the_beginning_of_the_next(trail: SignedTrail, recorder: Recorder) -> None:
    LoginFactory.create(details={"large": 1e22, "small": 1e-7, "ä": [1.0, None, True]})
    ErrorFactory.create()
    AdminFactory.create()
    checkpoints = [trail.sign()]
    assert checkpoints[0].size == 4
    for count in (1, 250, 1, 255, 300):
        fill(recorder, count)
        checkpoints.append(trail.sign())
    with trail.database.read() as connection:
        tree, size = StoredTree(connection), checkpoints[-1].size
        leaves = read_leaves(connection, 1, size)
        for seq in (1, 4, 256, 257, 512, size):
            proof = tree.inclusion_proof(seq - 1, size)
            verify_inclusion(seq - 1, size, leaves[seq].hash, proof, checkpoints[-1].root)
        for older in checkpoints[:-1]:
            proof = tree.consistency_proof(older.size, size)
            verify_consistency(older.size, size, proof, older.root, checkpoints[-1].root)
            assert tree.root(older.size) == older.root
    assert sorted(leaves) == list(range(1, size + 1))
    assert trail.signer().sign() is None  # all of it is signed already


def test_a_chunk_after_the_other(trail: SignedTrail, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(recorder, 600)
    whole = trail.sign()
    restart_log(trail.database, trail.key_file, "tests.example", "test", by=ACTOR)
    monkeypatch.setattr(module, "CHUNK", 7)
    again = trail.sign()
    with trail.database.read() as connection:
        assert StoredTree(connection).root(whole.size) == whole.root  # the openings stay, so the leaves do
    assert again.size == whole.size + 1
    assert again.origin != whole.origin


def test_large_events_are_not_all_in_memory_at_once(
    trail: SignedTrail, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_service.signing.leaf_making.STEP", 50)
    recorder.record_all([ErrorFactory.build(traceback="x" * 16_000) for _ in range(500)])
    signer = trail.signer()
    tracemalloc.start()
    try:
        assert signer.take_in() == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000  # of 8 MB that they have


def test_events_of_a_rolled_back_trail_are_not_signed_again(trail: SignedTrail, recorder: Recorder) -> None:
    fill(recorder, 20)
    trail.sign()
    with trail.tampering() as connection:
        connection.execute(text("DELETE FROM login_events WHERE seq > 10"))
        connection.execute(text("UPDATE trail_head SET size = 10"))
    assert stopped(trail) == "rollback"
    with trail.tampering() as connection:  # and the tree with them
        connection.execute(text("DELETE FROM trail_leaves WHERE seq > 10"))
        connection.execute(text("DELETE FROM trail_checkpoints"))
        connection.execute(text("UPDATE trail_log SET size = 10"))
    assert stopped(trail) == "rollback"
    with trail.tampering() as connection:
        connection.execute(text("DELETE FROM trail_log"))
    assert stopped(trail) == "rollback"


def test_another_history_of_the_same_size_is_a_fork(trail: SignedTrail, recorder: Recorder) -> None:
    fill(recorder, 300)
    trail.sign()
    with trail.tampering() as connection:
        connection.execute(text("UPDATE trail_leaves SET hash = :hash WHERE seq = 299"), {"hash": bytes(32)})
        connection.execute(text("UPDATE trail_log SET root = :root"), {"root": StoredTree(connection).root(301)})
    assert stopped(trail) == "fork"


def test_a_tree_with_holes_stops_it(trail: SignedTrail, recorder: Recorder) -> None:
    fill(recorder, 300)
    trail.sign()
    with trail.tampering() as connection:
        connection.execute(text("DELETE FROM trail_tiles"))
    assert stopped(trail) == "tree_changed"


def test_a_missing_event_stops_it_until_it_is_declared(trail: SignedTrail, recorder: Recorder) -> None:
    fill(recorder, 9)
    with trail.tampering() as connection:
        connection.execute(text("DELETE FROM login_events WHERE seq = 5"))
    assert stopped(trail) == "gap"
    fill(recorder, 3)  # logins go on
    restart_log(trail.database, trail.key_file, "tests.example", "an event was removed", by=ACTOR)
    assert trail.sign().size == 14
    with trail.database.read() as connection:
        assert connection.scalars(select(TrailLeaf.seq).where(TrailLeaf.opening.is_(None))).all() == [5]
        event = connection.execute(select(AdminEvent).where(AdminEvent.action == AdminAction.LOG_RESTARTED)).one()
    assert event.details["reason"] == "an event was removed"


def test_an_event_that_nobody_here_has_written_stops_it(trail: SignedTrail, recorder: Recorder) -> None:
    fill(recorder, 3)
    with trail.tampering() as connection:
        connection.execute(text("UPDATE login_events SET details = '[1]' WHERE seq = 3"))
    assert stopped(trail) == "bad_form"


def test_two_events_with_one_seq_stop_it(trail: SignedTrail, recorder: Recorder) -> None:
    fill(recorder, 3)
    ErrorFactory.create()
    with trail.tampering() as connection:
        connection.execute(text("UPDATE error_events SET seq = 3"))
    assert stopped(trail) == "duplicate"


def test_another_key_stops_it(trail: SignedTrail, recorder: Recorder) -> None:
    fill(recorder, 3)
    trail.sign()
    kept = read_keys(trail.key_file)
    trail.key_file.unlink()
    with pytest.raises(SettingsError, match="there is no secret key"):
        trail.sign()
    for name in (kept[0].name, "other.example/1"):  # of this log, which has not signed it, and of another
        write_keys(trail.key_file, [new_key(name)])
        assert stopped(trail) == "foreign_key"
    write_keys(trail.key_file, kept)
    fill(recorder, 1)
    assert trail.sign().size == 5
    trail.key_file.chmod(0o644)
    with pytest.raises(SettingsError, match="others may read the secret key"):
        trail.signer()


def test_a_lost_head_file_stops_it_unless_the_database_is_trusted(trail: SignedTrail, recorder: Recorder) -> None:
    fill(recorder, 3)
    trail.sign()
    next(trail.folder.glob("trail-head-*")).unlink()
    assert stopped(trail) == "head_missing"
    signer = trail.signer(trusts_database=True)
    fill(recorder, 1)
    assert signer.take_in() == 0
    assert signer.sign()
    assert trail.sign().size == 5


def test_two_signers_make_one_log(trail: SignedTrail, recorder: Recorder, database_url: str, tmp_path: Path) -> None:
    """On two machines, each with a head file of its own, and the same key."""
    first = trail.signer()
    fill(recorder, 5)
    first.take_in()
    first.sign()
    shutil.copytree(trail.folder, tmp_path / "other")
    other = SignedTrail(database_url, tmp_path / "other")
    second = other.signer()
    fill(recorder, 5)
    assert second.take_in() == 0
    with pytest.raises(LogChanged):
        first.take_in()
    assert second.sign()
    first = trail.signer()  # its head file is behind the tree: that is no fork
    fill(recorder, 5)
    first.take_in()
    first.sign()
    assert trail.newest().size == 16
    other.database.close()


def test_the_key_is_changed_by_a_checkpoint_with_both_signatures(trail: SignedTrail, recorder: Recorder) -> None:
    signer = trail.signer()
    fill(recorder, 3)
    signer.take_in()
    signer.sign()
    old = read_keys(trail.key_file)[0]
    new = rotate_key(trail.database, trail.key_file, by=ACTOR)
    signer.take_in()
    stored = signer.sign()
    assert stored
    assert stored.note.count(b"\xe2\x80\x94 ") == 2
    assert read_keys(trail.key_file) == [new]
    fill(recorder, 1)
    signer.take_in()
    stored = signer.sign()
    assert stored
    assert stored.note.count(b"\xe2\x80\x94 ") == 1
    assert trail.sign().size == 6
    with trail.database.read() as connection:
        event = connection.execute(select(AdminEvent).where(AdminEvent.action == AdminAction.SIGNING_KEY_ROTATED)).one()
    assert event.details == {"from": str(old.verifier), "to": str(new.verifier)}


def test_of_two_who_change_the_key_at_once_one_does(trail: SignedTrail, monkeypatch: pytest.MonkeyPatch) -> None:
    (old,) = read_keys(trail.key_file)
    first = new_key(old.name)

    def append_later(connection: Connection, events: list[NewEvent]) -> None:
        append_within(connection, events)
        write_keys(trail.key_file, [first, old])

    monkeypatch.setattr("audit_service.signing.lifecycle.append_within", append_later)
    with pytest.raises(AuditError, match="at this moment"):
        rotate_key(trail.database, trail.key_file, by=ACTOR)
    assert read_keys(trail.key_file) == [first, old]
    with trail.database.read() as connection:
        changes = select(AdminEvent).where(AdminEvent.action == AdminAction.SIGNING_KEY_ROTATED)
        assert connection.execute(changes).all() == []


def test_there_is_no_log_without_its_begin(database_url: str, tmp_path: Path) -> None:
    trail = SignedTrail(database_url, tmp_path / "data")
    with pytest.raises(NotConfiguredError, match="trail init"):
        trail.signer()
    log = trail.start()
    assert trail.start() == log
    assert trail.key_file.stat().st_mode & 0o777 == 0o600
    trail.database.close()


CRASH = """
import os, sys
from pathlib import Path
from tests.support.signed_trail import SignedTrail
from audit_service.signing import signer
from audit_service.signing.head_file import HeadFile

step, url, folder = sys.argv[1:]
trail = SignedTrail(url, Path(folder))
crash = lambda *_: os.kill(os.getpid(), 9)
made = trail.signer()
if step == "before":
    signer.store_tiles = crash
made.take_in()
if step == "leaves":
    crash()
if step == "draft":
    Path.replace = crash
if step == "head":
    made._database.write = crash
made.sign()
if step == "checkpoint":
    crash()
"""


@pytest.mark.parametrize("step", ["before", "leaves", "draft", "head", "checkpoint"])
def test_a_kill_between_two_steps_is_harmless(
    trail: SignedTrail, recorder: Recorder, database_url: str, step: str
) -> None:
    fill(recorder, 300)
    before = trail.sign()
    fill(recorder, 300)
    command = [sys.executable, "-c", CRASH, step, database_url, str(trail.folder)]
    assert subprocess.run(command, env=dict(os.environ), check=False).returncode == -9
    after = trail.sign()
    assert after.size == 601
    with trail.database.read() as connection:
        tree = StoredTree(connection)
        verify_consistency(before.size, 601, tree.consistency_proof(before.size, 601), before.root, after.root)
        sizes = connection.scalars(select(TrailCheckpoint.size).order_by(TrailCheckpoint.size)).all()
    assert sizes == [301, 601]
