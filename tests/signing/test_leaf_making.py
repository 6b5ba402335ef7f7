"""Leaves that other processes make ahead of the signer: the same as its own, and never more than it may take."""

import os
import signal
from multiprocessing import active_children
from pathlib import Path

import pytest
from sqlalchemy import text

from audit_service.errors import SignerStopped
from audit_service.proving.tiles import StoredTree
from audit_service.signing import leaf_making
from audit_service.signing import signer as module
from audit_service.signing.leaf_making import made_ahead
from audit_service.signing.lifecycle import restart_log
from audit_service.signing.signer import Signer
from audit_service.trail.recorder import Recorder
from tests.factories import LoginFactory
from tests.support.accounts import ACTOR
from tests.support.signed_trail import SignedTrail

EVENTS = 101  # with that of the log's begin; chunks of 10 are whole but for the last


@pytest.fixture
def long_trail(trail: SignedTrail, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> SignedTrail:
    """A trail that is long for the signer, which is opened for each test."""
    recorder.record_all(LoginFactory.copies(EVENTS - 1))
    monkeypatch.setattr(module, "CHUNK", 10)
    monkeypatch.setattr(leaf_making, "MANY", 2)
    return trail


def take_in(trail: SignedTrail, signer: Signer) -> list[bool]:
    """Make leaves of all events, and return of each chunk whether another process has made them."""
    made_elsewhere: list[bool] = []
    with made_ahead(trail.settings.url, signer.chunks()) as made:

        def told(chunk: leaf_making.Chunk) -> list[leaf_making.NewLeaf] | None:
            leaves = made(chunk)
            made_elsewhere.append(leaves is not None)
            return leaves

        while signer.take_in(told):
            pass
    return made_elsewhere


def test_many_are_made_by_other_processes(long_trail: SignedTrail) -> None:
    signer = long_trail.signer()
    assert take_in(long_trail, signer) == [True] * 10 + [False]
    signer.sign()
    whole = long_trail.newest()
    assert whole.size == EVENTS
    assert not active_children()
    restart_log(long_trail.database, long_trail.key_file, "tests.example", "test", by=ACTOR)
    again = long_trail.sign()  # alone: openings stay, so its leaves are the same
    with long_trail.database.read() as connection:
        assert StoredTree(connection).root(EVENTS) == whole.root
    assert again.size == EVENTS + 1
    restart_log(long_trail.database, long_trail.key_file, "tests.example", "test", by=ACTOR)
    assert take_in(long_trail, long_trail.signer()) == [True] * 10 + [False]
    with long_trail.database.read() as connection:
        assert StoredTree(connection).root(again.size) == again.root


def test_what_stops_the_signer_is_told_by_itself(long_trail: SignedTrail) -> None:
    with long_trail.tampering() as connection:
        connection.execute(text("DELETE FROM login_events WHERE seq = 55"))
    signer = long_trail.signer()
    with pytest.raises(SignerStopped, match="the event 55 is missing"):
        take_in(long_trail, signer)
    assert signer.size == 50
    assert not active_children()


def test_it_goes_on_alone_if_another_process_is_killed(long_trail: SignedTrail, tmp_path: Path) -> None:
    signer = long_trail.signer()
    with made_ahead(long_trail.settings.url, signer.chunks()) as made:
        assert signer.take_in(made) == EVENTS - 10
        for each in active_children():
            os.kill(each.pid or 0, signal.SIGKILL)
            each.join()
        while signer.take_in(made):
            pass
    signer.sign()
    assert long_trail.newest().size == EVENTS
