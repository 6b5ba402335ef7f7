"""The signer at work: it goes on after trouble, and tells of it."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, text

from audit_service.errors import AuditError
from audit_service.signing.head_file import only_signer
from audit_service.signing.lifecycle import restart_log
from audit_service.signing.loop import sign_once
from audit_service.trail.recorder import Recorder
from tests.factories import LoginFactory
from tests.support.accounts import ACTOR
from tests.support.signed_trail import SignedTrail

LIMIT = 30  # seconds


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def signed(trail: SignedTrail) -> int:
    return trail.log().size


@contextmanager
def away(url: str) -> Iterator[None]:
    """Take the database away for a while."""
    place = make_url(url)
    if place.get_backend_name() == "sqlite":
        path = Path(str(place.database))
        hidden = path.rename(path.with_name("hidden.db"))
        yield
        hidden.rename(path)
        return
    with psycopg.connect(str(place.set(drivername="postgresql", database="postgres")), autocommit=True) as server:
        name = place.database
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        yield
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def test_it_signs_what_comes_and_the_rest_at_its_end(trail: SignedTrail, recorder: Recorder) -> None:
    with trail.signing():
        LoginFactory.create()
        wait_until(lambda: signed(trail) == 2)
        recorder.record_all(LoginFactory.copies(100))
    assert trail.newest().size == 102


def test_a_stop_is_told_and_logins_go_on(
    trail: SignedTrail, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.record_all(LoginFactory.copies(10))
    trail.sign()
    with trail.tampering() as connection:
        connection.execute(text("UPDATE trail_log SET size = 5"))
    with trail.signing():
        wait_until(lambda: trail.log().problem == "rollback")
        critical = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
        assert len(critical) == 1
        assert "trail restart --reason" in critical[0]
        assert str(trail.log().problem_detail) in critical[0]
        LoginFactory.create()
        restart_log(trail.database, trail.key_file, "tests.example", "test", by=ACTOR)
        wait_until(lambda: signed(trail) == 13)
    assert trail.log().problem is None
    assert len([record for record in caplog.records if record.levelno == logging.CRITICAL]) == 1


def test_a_database_that_is_away_is_waited_for(
    trail: SignedTrail, recorder: Recorder, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    LoginFactory.create()
    with trail.signing():
        wait_until(lambda: signed(trail) == 2)
        trail.database.close()
        with away(database_url):
            wait_until(lambda: "cannot work now" in caplog.text)
        LoginFactory.create()
        wait_until(lambda: signed(trail) == 3)
    assert trail.newest().size == 3


def test_a_head_file_that_cannot_be_written_stops_no_events(
    trail: SignedTrail, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    trail.sign()
    head = next(trail.folder.glob("trail-head-*"))
    draft = head.with_name(f".{head.name}.draft")
    draft.mkdir()  # as if the disk were full: the draft cannot be made
    with trail.signing():
        LoginFactory.create()
        wait_until(lambda: signed(trail) == 2)  # the leaves are stored
        wait_until(lambda: "cannot work now" in caplog.text)
        assert trail.newest().size == 1
        draft.rmdir()
        wait_until(lambda: trail.newest().size == 2)


def test_a_second_signer_waits_for_the_first(
    trail: SignedTrail, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with only_signer(trail.folder) as is_only:
        assert is_only
        with pytest.raises(AuditError, match="another signer works with"):
            sign_once(trail.database, trail.settings, progress=lambda _done, _left: None)
        with trail.signing():
            wait_until(lambda: "this one waits until it ends" in caplog.text)
            LoginFactory.create()
    assert signed(trail) == 0
    with trail.signing():
        wait_until(lambda: signed(trail) == 2)
    assert trail.newest().size == 2
