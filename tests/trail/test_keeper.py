"""The thread that knows whether the database can be written to."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import msgspec
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from audit_service.errors import IdTakenError
from audit_service.events.base import NewEvent
from audit_service.settings.table import Settings
from audit_service.storage.outages import DATABASE_ERRORS
from audit_service.trail.append import append_batch
from audit_service.trail.counters import Counters
from audit_service.trail.keeper import Keeper, is_poison
from audit_service.trail.link import Link
from audit_service.trail.recorder import Recorder
from tests.factories import LoginFactory
from tests.support.waiting import wait_until

TIMEOUT = 2.0  # seconds


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit_service.trail.keeper.PROBE_INTERVAL", 0.02)
    monkeypatch.setattr("audit_service.trail.keeper.CHORE_INTERVAL", 0.02)


@contextmanager
def keeper_of(database_url: str, counters: Counters, *chores: Callable[[], object]) -> Iterator[Keeper]:
    """A keeper of its own, without a spool: what it does with one is in test_spool."""
    keeper = Keeper(Link(Settings(database_url=database_url).url, TIMEOUT), None, TIMEOUT, counters, chores)
    thread = threading.Thread(target=keeper.run)
    with ExitStack() as end:
        end.callback(thread.join)
        end.callback(keeper.stop)
        thread.start()
        yield keeper


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "audit_service"]


def test_at_the_start_one_waits_for_the_first_look_and_later_not(database_url: str) -> None:
    with keeper_of(database_url, Counters()) as keeper:
        assert keeper.is_up(20)
        assert keeper.is_up(0)
    keeper.lose(OSError("gone"))
    started = time.monotonic()
    assert not keeper.is_up(20)
    assert time.monotonic() - started < 10


def test_a_lost_database_is_said_once_and_so_is_its_return(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    counters = Counters(spooled=1)
    keeper = Keeper(Link(Settings(database_url=database_url).url, TIMEOUT), None, TIMEOUT, counters)
    keeper.lose(OSError("the cable\nis cut"))
    keeper.lose(OSError("the cable is still cut"))
    assert messages(caplog) == ["the audit trail's database is away: OSError: the cable"]
    counters.spooled += 2
    counters.refused += 3
    thread = threading.Thread(target=keeper.run)
    thread.start()
    wait_until(lambda: keeper.is_up(0), "the database is not found")
    wait_until(lambda: len(messages(caplog)) > 1, "its return is not said")
    keeper.stop()
    thread.join()
    _, back = messages(caplog)
    assert back.startswith("the audit trail's database is back after ")
    assert back.endswith(" s, in which 2 events were spooled and 3 refused")


def test_a_database_without_tables_is_not_up_and_the_remedy_is_said_once(
    empty_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with keeper_of(empty_database_url, Counters()) as keeper:
        wait_until(lambda: keeper.fault, "nothing is said")
        assert not keeper.is_up(0.2)  # some looks later
    assert keeper.fault is not None
    assert "run 'audit-service migrate'" in keeper.fault
    (said,) = [message for message in messages(caplog) if keeper.fault in message]
    assert "away" not in said


def test_a_chore_that_fails_hinders_no_other_and_is_said_once(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    failed, done = [], []

    def fail() -> None:
        failed.append(1)
        raise ZeroDivisionError("no such\nnumber")

    with keeper_of(database_url, Counters(), fail, lambda: done.append(1)) as keeper:
        wait_until(lambda: len(done) >= 3, "chores are not done")
        assert keeper.is_up(0)
    assert len(failed) >= 3
    assert messages(caplog) == ["chore 1 of 2 failed: ZeroDivisionError: no such"]


def error_of(engine: Engine, event: NewEvent) -> Exception:
    """Store the event, which must fail; return the error."""
    with pytest.raises((*DATABASE_ERRORS, ValueError)) as caught, engine.connect() as connection:
        append_batch(connection, [event])
    return caught.value


def test_what_is_the_events_own_fault(engine: Engine, backend: str) -> None:
    assert is_poison(error_of(engine, LoginFactory.build(app=None)))
    assert is_poison(error_of(engine, LoginFactory.build(app=None)))
    assert is_poison(IdTakenError([0]))
    if backend == "postgresql":  # SQLite takes any text
        assert is_poison(error_of(engine, LoginFactory.build(username="a\0b")))


def test_what_is_not(engine: Engine, recorder: Recorder) -> None:
    event = LoginFactory()
    recorder.stop()
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE trail_head RENAME TO elsewhere"))
    lost = error_of(engine, LoginFactory.build())
    assert isinstance(lost, DBAPIError)
    assert not is_poison(lost)
    with engine.begin() as connection:  # a position that was given before
        connection.execute(text("CREATE TABLE trail_head (id INTEGER PRIMARY KEY, size BIGINT)"))
        connection.execute(text("INSERT INTO trail_head VALUES (1, 0)"))
    taken = error_of(engine, msgspec.structs.replace(event, id=LoginFactory.build().id))
    assert "seq" in str(taken)
    assert not is_poison(taken)
    assert not is_poison(OSError("the network"))
