"""Faults around the signer: it says so once, never takes them for a change of the history, and goes on after them."""

import logging
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import time_machine
from sqlalchemy import make_url

from audit_service.signing.signer import Signer
from audit_service.trail.recorder import Recorder
from audit_service.verifying.checkpoints import Trust
from audit_service.verifying.database import DatabaseOpener
from audit_service.verifying.report import Verdict
from audit_service.verifying.walk import verify
from tests.factories import LoginFactory
from tests.support.fault_tools import filled, small_disk
from tests.support.signed_trail import SignedTrail
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def no_alarm(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """None of this stops the signer."""
    yield
    assert [each.getMessage() for each in caplog.get_records("call") if each.levelno >= logging.CRITICAL] == []


def assert_proven(trail: SignedTrail, size: int) -> None:
    report = verify(DatabaseOpener(trail.settings.url), Trust([trail.verifier]))
    assert report.verdict is Verdict.PROVEN, report.text()
    assert report.proven
    assert report.proven.checkpoint.size == size
    assert trail.log().problem is None


@pytest.mark.parametrize("backend", ["sqlite"])  # whose file can be on the disk, too
@pytest.mark.parametrize("place", ["the data folder", "the data folder and the database"])
def test_a_full_disk(database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, place: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk takes root")
    with small_disk(tmp_path / "disk") as disk:
        if "database" in place:
            shutil.copy(tmp_path / "audit.db", disk)
            database_url = f"sqlite:///{disk}/audit.db"
        recorder = Recorder(make_url(database_url))
        with closing(SignedTrail(database_url, disk / "data")) as trail:
            trail.start()
            trail.sign()
            recorder.record_all(LoginFactory.copies(300))
            with ExitStack() as until_its_end, ExitStack() as until_there_is_room:
                until_there_is_room.enter_context(filled(disk))
                until_its_end.enter_context(trail.signing())
                wait_until(lambda: "cannot work now" in caplog.text, "it is not told")
                assert trail.newest().size == 1
                until_there_is_room.close()
                trail.wait_signed(301)
            assert list(trail.folder.glob(".*")) == []  # no draft is left
            assert_proven(trail, 301)
        recorder.stop()


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_database_that_may_only_be_read(
    trail: SignedTrail, recorder: Recorder, database_url: str, caplog: pytest.LogCaptureFixture, tries: list[Signer]
) -> None:
    trail.sign()
    LoginFactory()
    name = make_url(database_url).database
    with psycopg.connect(database_url, autocommit=True) as owner, ExitStack() as signer:
        owner.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'.encode())
        try:
            signer.enter_context(trail.signing())
            wait_until(lambda: "cannot work now" in caplog.text, "it is not told")
            wait_until(lambda: len(tries) > 3, "it does not try again")
            assert_proven(trail, 1)
        finally:
            owner.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only'.encode())
        trail.wait_signed(2)
        wait_until(lambda: "the signer goes on" in caplog.text, "it is not told")
    assert_proven(trail, 2)
    assert caplog.text.count("cannot work now") == 1


def test_the_clock_goes_back(trail: SignedTrail, recorder: Recorder) -> None:
    with trail.signing():
        LoginFactory()
        trail.wait_signed(2)
        first = trail.stored()
        assert first
        with time_machine.travel(first.signed_at - timedelta(hours=1)):
            LoginFactory()
            trail.wait_signed(3)
            back = trail.stored()
            LoginFactory()
            trail.wait_signed(4)
        LoginFactory()
        trail.wait_signed(5)
    assert back
    assert back.signed_at < first.signed_at
    assert_proven(trail, 5)


def test_two_signers_at_once(
    trail: SignedTrail, recorder: Recorder, database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """On two machines by mistake, each with the same key and a head file of its own, while events come."""
    trail.sign()
    shutil.copytree(trail.folder, tmp_path / "other")
    stopping = threading.Event()

    def log_in() -> None:
        while not stopping.is_set():
            recorder.record_all(LoginFactory.copies(3))

    with closing(SignedTrail(database_url, tmp_path / "other", sign_interval=0.1)) as other:
        heads = [next(each.folder.glob("trail-head-*")) for each in (trail, other)]
        seen: list[set[bytes]] = [set(), set()]

        def both_have_signed() -> bool:
            for head, notes in zip(heads, seen, strict=True):
                notes.add(head.read_bytes())
            return min(map(len, seen)) > 5

        writer = threading.Thread(target=log_in)
        writer.start()
        try:
            with trail.signing(), other.signing():
                wait_until(both_have_signed, "one of them does not sign")
        finally:
            stopping.set()
            writer.join()
    last = trail.sign().size
    assert_proven(trail, last)
    kept = {str(n): note for n, note in enumerate(seen[0] | seen[1])}
    report = verify(DatabaseOpener(trail.settings.url), Trust([trail.verifier]), kept=kept)
    assert report.verdict is Verdict.PROVEN, report.text()  # all that either of them has signed is of one history
