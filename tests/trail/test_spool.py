"""The spool: whose events wait in it, and who gets them."""

import logging
import shutil
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from audit_service.events.base import NewEvent
from audit_service.settings.table import Settings
from audit_service.storage import schema
from audit_service.storage.database import make_engine
from audit_service.trail.identity import Identity, target_of
from audit_service.trail.keeper import is_poison
from audit_service.trail.link import Link, OtherTrailError
from audit_service.trail.recorder import Recorder
from audit_service.trail.spool import Spool
from audit_service.trail.spool_file import SpoolFile
from tests.factories import LoginFactory
from tests.support.databases import migrated
from tests.support.fault_tools import read_trail

LATER = 1e12  # a deadline that nobody meets
A, B = UUID(int=0xA), UUID(int=0xB)


def identity(name: str, trail: UUID | None = None) -> Identity:
    made = Identity(make_url(f"sqlite:////{name}.db"))
    made.trail = trail
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


def spool_of(path: Path, name: str, trail: UUID | None = None) -> Spool:
    return Spool(path, identity(name, trail))


def replay(spool: Spool, trail: UUID | None) -> list[NewEvent]:
    moved: list[NewEvent] = []
    for _count in spool.replay(moved.extend, is_poison, trail):
        pass
    return moved


def test_each_trail_gets_its_own_in_order(path: Path) -> None:
    ours, theirs = LoginFactory.build_batch(4), LoginFactory.build_batch(3)
    first, second = spool_of(path, "a", A), spool_of(path, "b", B)
    first.add(ours[:2], LATER)
    second.add(theirs, LATER)
    first.add(ours[2:], LATER)
    assert (first.state().length, first.state().foreign) == (4, 3)
    assert (second.state().length, second.state().foreign) == (3, 4)
    assert replay(first, A) == ours
    assert first.state()[::3] == (0, 3)
    assert not first.is_waiting()
    assert replay(second, B) == theirs


def test_a_process_that_starts_without_its_database_knows_the_trail_from_before(path: Path) -> None:
    spool_of(path, "a", A).learn()
    event = LoginFactory.build()
    spool_of(path, "a").add([event], LATER)
    assert replay(spool_of(path, "a", B), B) == []  # somebody has put another trail there
    assert [other[:3] for other in spool_of(path, "a", B).others()] == [(A, "sqlite:////a.db", 1)]
    assert replay(spool_of(path, "elsewhere", A), A) == [event]  # and ours to another place


def test_what_never_saw_its_trail_belongs_to_the_one_that_is_found_at_the_target(path: Path) -> None:
    event, other = LoginFactory.build_batch(2)
    spool_of(path, "a").add([event], LATER)
    spool_of(path, "b").add([other], LATER)
    here = spool_of(path, "a", A)
    assert here.is_waiting()
    assert [found[:3] for found in here.others()] == [(None, "sqlite:////b.db", 1)]
    assert replay(here, A) == [event]


def test_what_is_claimed_stays_claimed(path: Path) -> None:
    """The replay is interrupted, and then another trail is at the target."""
    events = LoginFactory.build_batch(2)
    spool_of(path, "a").add(events, LATER)

    def fail(_events: list[NewEvent]) -> None:
        raise ConnectionError("it is away")

    with pytest.raises(ConnectionError, match="it is away"):
        next(spool_of(path, "a", A).replay(fail, is_poison, A))
    assert replay(spool_of(path, "a", B), B) == []
    assert replay(spool_of(path, "a", A), A) == events


def test_a_trail_without_identity_gets_what_is_at_its_target_only(path: Path) -> None:
    """A database that is not migrated far enough."""
    event = LoginFactory.build()
    spool_of(path, "a", A).add([LoginFactory.build()], LATER)
    spool_of(path, "b").add([LoginFactory.build()], LATER)
    spool_of(path, "c").add([event], LATER)
    assert replay(spool_of(path, "c"), None) == [event]


def test_an_older_file_belongs_to_the_first_trail_that_opens_it(path: Path) -> None:
    event = LoginFactory.build()

    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(
            "CREATE TABLE events (place INTEGER PRIMARY KEY AUTOINCREMENT, "
            "kind TEXT NOT NULL, event BLOB NOT NULL, spooled_at REAL NOT NULL)"
        )
        connection.execute(
            "CREATE TABLE rejected (place INTEGER PRIMARY KEY, "
            "kind TEXT NOT NULL, event BLOB NOT NULL, spooled_at REAL NOT NULL, error TEXT NOT NULL)"
        )
        row = ("login", msgspec.json.encode(event), time.time())
        connection.execute("INSERT INTO events (kind, event, spooled_at) VALUES (?, ?, ?)", row)
    connection.close()
    assert spool_of(path, "a", A).state().length == 1
    assert replay(spool_of(path, "a", A), A) == [event]
    assert spool_of(path, "b", B).state()[::3] == (0, 0)


def test_rejected_events_are_counted_with_their_trail(path: Path) -> None:
    first = spool_of(path, "a", A)
    first.add([LoginFactory.build(app=None)], LATER)
    assert replay(first, A) == []
    assert (first.state().rejected, spool_of(path, "b", B).state().rejected) == (1, 0)


def test_a_look_waits_for_no_writer_and_makes_no_file(path: Path) -> None:
    spool = spool_of(path, "a", A)
    assert (spool.state()[0], spool.is_waiting(), spool.others()) == (0, False, [])
    assert list(path.parent.iterdir()) == []
    spool.add([LoginFactory.build()], LATER)
    with sqlite3.connect(path, isolation_level=None) as writer:
        writer.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        assert spool_of(path, "a", A).state().length == 1
        assert time.monotonic() - started < 0.5
        writer.execute("ROLLBACK")
    writer.close()


def test_a_foreign_backlog_is_found_and_passed_over_by_the_index(path: Path) -> None:
    spool_of(path, "b", B).add(LoginFactory.build_batch(1), LATER)
    with sqlite3.connect(path) as connection:
        for part in ("trail = 'a'", "trail IS NULL AND (target IS NULL OR target = 'a')"):
            plan = connection.execute(f"EXPLAIN QUERY PLAN SELECT 1 FROM events WHERE {part} ORDER BY place LIMIT 1")
            assert all("SCAN" not in row[3] for row in plan), part
    connection.close()


def test_a_spool_that_is_removed_while_it_is_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = spool_of(path, "a", A)
    spool.add([LoginFactory.build()], LATER)
    look, event = SpoolFile.is_there, LoginFactory.build()

    def remove(self: SpoolFile) -> bool:  # after the commit, before the look
        monkeypatch.setattr(SpoolFile, "is_there", look)
        path.unlink()
        return look(self)

    monkeypatch.setattr(SpoolFile, "is_there", remove)
    spool.add([event], LATER)
    assert replay(spool_of(path, "a", A), A) == [event]


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("postgresql+psycopg://u:hunter2@h:5433/d?sslmode=require", "postgresql://h:5433/d"),
        ("postgresql://u@/d?host=/run/pg&port=5433", "postgresql:///run/pg:5433/d"),
        ("sqlite+pysqlite:////x/y.db?timeout=3", "sqlite:////x/y.db"),
    ],
)
def test_a_target_has_no_user_no_password_and_no_driver(url: str, target: str) -> None:
    assert target_of(make_url(url)) == target


@pytest.fixture
def other_url(tmp_path: Path) -> str:
    """A trail of its own: copies of the template are the same one."""
    return migrated(f"sqlite:///{tmp_path}/other.db")


def test_two_services_in_one_folder(database_url: str, other_url: str, path: Path) -> None:
    """What one acknowledged while its database was away reaches its trail, whoever else empties the same spool."""
    engine = make_engine(Settings(database_url=database_url).url, writes=True)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE trail_head RENAME TO elsewhere"))
    ours = Recorder(Settings(database_url=database_url).url, spool_path=path)
    ids = [str(ours.record(event)) for event in LoginFactory.build_batch(5)]
    ours.stop()
    assert ours.counters.spooled == 5
    theirs = Recorder(Settings(database_url=other_url).url, spool_path=path)
    theirs.record(LoginFactory.build())
    until(lambda: theirs.identity.trail is not None)
    theirs.stop()  # its keeper has looked into the spool
    assert (read_trail(other_url).size, Spool(path).state().length) == (1, 5)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO trail_head"))
    engine.dispose()
    ours.start()
    until(lambda: Spool(path).state().length == 0)
    ours.stop()
    assert read_trail(database_url).ids == ids


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("backend", ["sqlite"])  # a file is replaced in no time
def test_another_trail_in_the_place_of_ours(
    database_url: str, other_url: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, other = (Path(url.removeprefix("sqlite:///")) for url in (database_url, other_url))
    recorder = Recorder(Settings(database_url=database_url).url, spool_path=path)
    recorder.record(LoginFactory.build())
    old = recorder.identity.trail
    file.rename(file.with_name("moved.db"))
    spooled = recorder.record(LoginFactory.build())
    shutil.move(other, file)
    until(recorder.is_up)
    stored = recorder.record(LoginFactory.build())
    recorder.stop()
    assert read_trail(database_url).ids == [str(stored)]
    waiting = Spool(path, recorder.identity)
    assert (waiting.state().length, [other.trail for other in waiting.others()]) == (0, [old])
    assert [event.id for event in replay(waiting, old)] == [spooled]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert sum("holds another trail now" in warning for warning in warnings) == 1


def test_events_are_stored_in_the_trail_they_are_for(database_url: str) -> None:
    link = Link(Settings(database_url=database_url).url, 2)
    with pytest.raises(OtherTrailError):
        link.append([LoginFactory.build()], LATER, uuid4())
    link.append([LoginFactory.build()], LATER, link.probe(LATER))
    link.close()
    assert read_trail(database_url).size == 1


def test_a_database_before_the_identity_takes_events_and_replays(database_url: str, path: Path) -> None:
    engine = make_engine(Settings(database_url=database_url).url, writes=True)
    schema.downgrade(engine, "0004")
    engine.dispose()
    recorder = Recorder(Settings(database_url=database_url).url, spool_path=path)
    Spool(path, Identity(recorder.url)).add([LoginFactory.build()], LATER)
    recorder.record(LoginFactory.build())
    until(lambda: Spool(path).state().length == 0)
    recorder.stop()
    assert read_trail(database_url).size == 2


def test_an_outage_is_two_lines(database_url: str, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = make_engine(Settings(database_url=database_url).url, writes=True)
    recorder = Recorder(Settings(database_url=database_url).url, spool_path=path)
    recorder.record(LoginFactory.build())
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE trail_head RENAME TO elsewhere"))
    for event in LoginFactory.build_batch(4):
        recorder.record(event)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO trail_head"))
    engine.dispose()
    until(lambda: Spool(path).state().length == 0)
    recorder.stop()
    lines = [record.getMessage() for record in caplog.records if record.name == "audit_service"]
    assert len(lines) == 2, lines
    assert "is away" in lines[0]
    assert "sqlalche.me" not in lines[0]
    assert "in which 4 events were spooled and 0 refused" in lines[1]


def test_an_outage_that_a_chore_meets_first_is_two_lines_too(
    database_url: str, path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is recorded meanwhile, so the writer does not notice."""
    monkeypatch.setattr("audit_service.trail.keeper.CHORE_INTERVAL", 0)
    monkeypatch.setattr("audit_service.trail.keeper.PROBE_INTERVAL", 0.05)
    engine = make_engine(Settings(database_url=database_url).url, writes=True)
    recorder = Recorder(Settings(database_url=database_url).url, spool_path=path)
    recorder.record(LoginFactory.build())
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE trail_head RENAME TO elsewhere"))
    is_away = True

    def look() -> None:
        if is_away:
            raise TimeoutError("no connection within 2 s")

    recorder.add_chore(look)
    until(lambda: not recorder.is_up())
    is_away = False
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO trail_head"))
    engine.dispose()
    until(recorder.is_up)
    recorder.stop()
    lines = [record.getMessage() for record in caplog.records if record.name == "audit_service"]
    assert len(lines) == 2, lines
    assert "is away" in lines[0]
    assert "is back" in lines[1]


def test_things_that_go_on_failing_are_said_once_each(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not each time that another one fails: they would fill the log."""
    monkeypatch.setattr("audit_service.trail.keeper.PROBE_INTERVAL", 0.01)
    monkeypatch.setattr("audit_service.trail.keeper.CHORE_INTERVAL", 0)
    recorder = Recorder(Settings(database_url=database_url).url, spool_path=tmp_path / "no folder" / "spool.db")
    rounds: list[int] = []

    def fail(number: int) -> None:
        rounds.append(number)
        raise ValueError(f"chore {number}")

    recorder.add_chore(partial(fail, 1))
    recorder.add_chore(partial(fail, 2))
    recorder.start()
    until(lambda: rounds.count(2) > 3)
    recorder.stop()
    said = [message for message in caplog.messages if "failed" in message or "cannot be emptied" in message]
    assert len(said) == len(set(said)) == 3


def test_one_failing_chore_does_not_keep_the_others_from_running(database_url: str) -> None:
    done: list[str] = []

    def fail() -> None:
        done.append("failed")
        raise ZeroDivisionError

    recorder = Recorder(Settings(database_url=database_url).url)
    recorder.add_chore(fail)
    recorder.add_chore(lambda: done.append("second"))
    recorder.start()
    until(lambda: len(done) >= 2)
    recorder.stop()
    assert done == ["failed", "second"]
