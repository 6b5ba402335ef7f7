"""The signer at work: it goes on after trouble, and tells of it."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, text

from audit_service.errors import AuditError
from audit_service.signing.database import Database
from audit_service.signing.head_file import only_signer
from audit_service.signing.lifecycle import restart_log
from audit_service.signing.loop import sign_once
from audit_service.signing.signer import Signer
from audit_service.trail.recorder import Recorder
from tests.factories import LoginFactory
from tests.support.accounts import ACTOR
from tests.support.signed_trail import SignedTrail
from tests.support.waiting import wait_until


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
        wait_until(lambda: signed(trail) == 2, "it is not signed")
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
        wait_until(lambda: trail.log().problem == "rollback", "the signer does not stop")
        critical = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
        assert len(critical) == 1
        assert "trail restart --reason" in critical[0]
        assert str(trail.log().problem_detail) in critical[0]
        LoginFactory.create()
        restart_log(trail.database, trail.key_file, "tests.example", "test", by=ACTOR)
        wait_until(lambda: signed(trail) == 13, "it is not signed")
    assert trail.log().problem is None
    assert len([record for record in caplog.records if record.levelno == logging.CRITICAL]) == 1


@pytest.mark.parametrize("backend", ["postgresql"])  # on SQLite nobody else writes meanwhile
def test_a_restart_that_is_not_committed_yet_is_no_other_log(
    trail: SignedTrail, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    trail.sign()
    place = trail.settings.url
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s"
    with (
        Database(place.update_query_dict({"options": "-c lock_timeout=60s"})) as database,
        psycopg.connect(database_url) as holder,
        psycopg.connect(database_url, autocommit=True) as looker,
        ThreadPoolExecutor() as pool,
    ):

        def wait_for_waiters(count: int) -> None:
            wait_until(lambda: looker.execute(waiting, (place.database,)).fetchone() == (count,), f"not {count} wait")

        holder.execute("SELECT size FROM trail_head FOR UPDATE")
        restart = pool.submit(restart_log, database, trail.key_file, "tests.example", "test", by=ACTOR)
        wait_for_waiters(1)  # the new key is in its place, and the new log is not committed
        with trail.signing():
            wait_for_waiters(2)
            holder.rollback()
            restart.result()
            wait_until(lambda: signed(trail) == 2, "it is not signed")
    assert not [record for record in caplog.records if record.levelno == logging.CRITICAL]


def test_a_stop_at_work_is_told_once_and_stays(
    trail: SignedTrail, recorder: Recorder, caplog: pytest.LogCaptureFixture, tries: list[Signer]
) -> None:
    """What stops it is not seen when it is opened again, but by its next step."""
    recorder.record_all(LoginFactory.copies(10))
    with trail.tampering() as connection:
        connection.execute(text("DELETE FROM login_events WHERE seq = 5"))
    with trail.signing():
        wait_until(lambda: len(tries) > 3, "it does not try again")
        assert trail.log().problem == "gap"
    assert trail.log().problem == "gap"
    assert [each.levelname for each in caplog.records if each.name == "audit_service.signer"] == ["CRITICAL"]


def test_a_database_that_is_away_is_waited_for(
    trail: SignedTrail, recorder: Recorder, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    LoginFactory.create()
    with trail.signing():
        wait_until(lambda: signed(trail) == 2, "it is not signed")
        trail.database.close()
        with away(database_url):
            wait_until(lambda: "cannot work now" in caplog.text, "it is not told")
        LoginFactory.create()
        wait_until(lambda: signed(trail) == 3, "it is not signed")
    assert trail.newest().size == 3


def test_a_head_file_that_cannot_be_written_stops_no_events(
    trail: SignedTrail, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    trail.sign()
    head = next(trail.folder.glob("trail-head-*"))
    with trail.signing():
        LoginFactory.create()
        trail.wait_signed(2)  # the signer is at work
        kept = head.rename(trail.folder / "kept")
        head.mkdir()  # which no file can replace
        LoginFactory.create()
        wait_until(lambda: signed(trail) == 3, "the leaves are not stored")
        wait_until(lambda: "cannot work now" in caplog.text, "it is not told")
        assert trail.newest().size == 2
        head.rmdir()
        kept.rename(head)
        wait_until(lambda: trail.newest().size == 3, "it is not signed")
    assert not list(trail.folder.glob(".trail-head-*"))  # no draft is left


def test_a_data_folder_that_cannot_be_used_is_waited_for(
    trail: SignedTrail, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    trail.sign()
    kept = trail.folder.rename(trail.folder.with_name("kept"))
    trail.folder.symlink_to("nowhere")  # as a volume that is not mounted
    LoginFactory.create()
    with trail.signing():
        wait_until(lambda: "cannot use its folder" in caplog.text, "it is not told")
        assert signed(trail) == 1
        back = trail.folder.with_name("back")
        back.symlink_to(kept)
        back.replace(trail.folder)
        trail.wait_signed(2)


def test_a_second_signer_waits_for_the_first(
    trail: SignedTrail, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with only_signer(trail.folder) as is_only:
        assert is_only
        with pytest.raises(AuditError, match="another signer works with"):
            sign_once(trail.database, trail.settings, progress=lambda _done, _left: None)
        with trail.signing():
            wait_until(lambda: "this one waits until it ends" in caplog.text, "it does not wait")
            LoginFactory.create()
    assert signed(trail) == 0
    with trail.signing():
        wait_until(lambda: signed(trail) == 2, "it is not signed")
    assert trail.newest().size == 2
