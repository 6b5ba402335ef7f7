"""Refused attempts are counted exactly, and each count becomes one event."""

import contextlib
import http.client
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
import time_machine
from flask import Flask
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DatabaseError

from audit_service.access.refusals import Key, RefusalCounter, add_counts, close_windows
from audit_service.access.throttle import RECORDED
from audit_service.context import context_of
from audit_service.settings.table import Settings
from audit_service.storage.database import make_engine, make_writer
from audit_service.storage.models import LoginEvent, RefusedAttempts
from tests.support.apps import SECRET_KEY
from tests.support.children import context, count_many
from tests.support.fault_tools import ANSWER_LIMIT, read_trail
from tests.support.server import Service, started_service
from tests.support.waiting import wait_until

ADA = Key("192.0.2.0/24", "ada", "tests")
ANY = Key("192.0.2.0/24", "*", "tests")
NOWHERE = Key("", "ada", "tests")
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
WINDOW = timedelta(minutes=15)


class HeldWrites:
    """A ``write`` that remembers what it was given; the first one is held until ``go``."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = iter(errors)
        self.begun, self.go = threading.Event(), threading.Event()
        self.written: list[Counter[Key]] = []
        self.at_once = 0

    def __call__(self, counts: Counter[Key]) -> None:
        self.at_once += 1
        assert self.at_once == 1, "two threads write at the same time"
        self.begun.set()
        assert self.go.wait(20)
        self.written.append(counts.copy())
        self.at_once -= 1
        if error := next(self.errors, None):
            raise error


@contextlib.contextmanager
def counting(write: HeldWrites, keys: list[Key]) -> Iterator[tuple[RefusalCounter, list[Future[None]]]]:
    """Count once, and while that is being written the *keys*; then let the writing go on."""
    counter = RefusalCounter(write)
    with ThreadPoolExecutor(1 + len(keys)) as threads:
        counted = [threads.submit(counter.count, ADA)]
        assert write.begun.wait(20)
        counted += [threads.submit(counter.count, key) for key in keys]
        wait_until(lambda: counter._next.counts.total() == len(keys), "not all wait")
        write.go.set()
    yield counter, counted


def test_what_is_counted_during_a_write_is_written_together() -> None:
    write = HeldWrites()
    with counting(write, [ADA, ANY, ADA, ANY, ADA]) as (counter, counted):
        assert [each.result() for each in counted] == [None] * 6
        counter.count(NOWHERE)
    assert write.written == [{ADA: 1}, {ADA: 3, ANY: 2}, {NOWHERE: 1}]


def test_an_error_reaches_the_callers_of_its_batch_only() -> None:
    error = OSError("the disk is full")
    write = HeldWrites(None, error)
    with counting(write, [ADA, ANY, ADA]) as (counter, counted):
        assert [each.exception() for each in counted] == [None, error, error, error]
        counter.count(ADA)
    assert write.written == [{ADA: 1}, {ADA: 2, ANY: 1}, {ADA: 1}]


def test_an_error_of_the_first_does_not_reach_the_next() -> None:
    error = OSError("the disk is full")
    with counting(HeldWrites(error), [ADA, ANY]) as (_, counted):
        assert [each.exception() for each in counted] == [error, None, None]


def counted_rows(engine: Engine) -> list[Any]:
    columns = RefusedAttempts.__table__.columns
    with engine.connect() as connection:
        return list(connection.execute(select(*columns).order_by("network", "username", "app")))


def counts_of(engine: Engine) -> dict[Key, int]:
    return {Key(row.network, row.username, row.app): row.count for row in counted_rows(engine)}


def closed_events(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(select(*LoginEvent.__table__.columns).order_by(LoginEvent.seq)))


def add_at(engine: Engine, time: datetime, counts: dict[Key, int]) -> None:
    with time_machine.travel(time, tick=False):
        add_counts(engine, Counter(counts))


def close_at(engine: Engine, time: datetime) -> int:
    with time_machine.travel(time, tick=False):
        return close_windows(engine, WINDOW)


def test_counts_are_added_to_their_rows(engine: Engine) -> None:
    second, third = NOW + timedelta(seconds=1), NOW + timedelta(seconds=2)
    add_at(engine, NOW, {ADA: 1, ANY: 5})
    add_at(engine, third, {ADA: 2, NOWHERE: 1})
    add_at(engine, second, {ADA: 4})  # a machine whose clock is behind
    assert [tuple(row) for row in counted_rows(engine)] == [
        (*NOWHERE, 1, third, third),
        (*ANY, 5, NOW, NOW),
        (*ADA, 7, NOW, third),
    ]


def test_sixteen_threads_count_exactly(database_url: str, engine: Engine) -> None:
    count_many(database_url, (ADA, ANY), 16, 100)
    assert counts_of(engine) == {ADA: 100, ANY: 100}


def test_two_processes_count_exactly(database_url: str, engine: Engine) -> None:
    arguments = (database_url, (ADA, ANY), 16, 100, context().Barrier(2))
    processes = [context().Process(target=count_many, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert counts_of(engine) == {ADA: 200, ANY: 200}


def test_a_window_that_is_over_becomes_one_event_for_each_key(engine: Engine) -> None:
    last = NOW + timedelta(seconds=7, microseconds=8)
    add_at(engine, NOW, {ADA: 1, ANY: 5, NOWHERE: 2})
    add_at(engine, last, {ADA: 2})
    assert close_at(engine, NOW + WINDOW) == 3
    assert counted_rows(engine) == []
    found = {Key(row.network or "", row.username, row.app): row for row in closed_events(engine)}
    assert {key: row.details for key, row in found.items()} == {
        ADA: {"count": 3, "first": NOW.isoformat(), "last": last.isoformat()},
        ANY: {"count": 5, "first": NOW.isoformat(), "last": NOW.isoformat()},
        NOWHERE: {"count": 2, "first": NOW.isoformat(), "last": NOW.isoformat()},
    }
    assert found[NOWHERE].network is None
    ada = found[ADA]
    assert (ada.timestamp, ada.action, ada.outcome, ada.reason) == (last, "login", "failure", "throttled")
    assert (ada.method, ada.remote_addr, ada.user_agent, ada.request_id) == ("password", None, None, None)
    assert close_at(engine, NOW + 2 * WINDOW) == 0
    assert sorted(row.seq for row in closed_events(engine)) == [1, 2, 3]


def test_a_window_that_is_not_over_stays(engine: Engine, database_url: str) -> None:
    add_at(engine, NOW, {ADA: 3})
    add_at(engine, NOW + timedelta(seconds=1), {ANY: 1})
    assert close_at(engine, NOW + WINDOW - timedelta(microseconds=1)) == 0
    assert counts_of(engine) == {ADA: 3, ANY: 1}
    assert read_trail(database_url).size == 0
    assert close_at(engine, NOW + WINDOW) == 1
    assert counts_of(engine) == {ANY: 1}


def test_after_a_window_the_next_one_is_counted_anew(engine: Engine) -> None:
    for n in range(3):
        add_at(engine, NOW + n * WINDOW, {ADA: n + 1})
        assert close_at(engine, NOW + (n + 1) * WINDOW) == 1
    assert [row.details["count"] for row in closed_events(engine)] == [1, 2, 3]


def test_two_processes_that_close_at_once_append_once(database_url: str, engine: Engine) -> None:
    keys = [Key("192.0.2.0/24", f"name-{n}", "tests") for n in range(20)]
    engines = [make_writer(make_engine(Settings(database_url=database_url).url)) for _ in range(4)]
    for _ in range(3):
        add_counts(engine, Counter(keys))
        barrier = threading.Barrier(len(engines))

        def close(writer: Engine, barrier: threading.Barrier = barrier) -> int:
            barrier.wait(20)
            return close_windows(writer, timedelta(0))

        with ThreadPoolExecutor(len(engines)) as threads:
            assert sum(threads.map(close, engines)) == len(keys)
    for writer in engines:
        writer.dispose()
    assert Counter(row.username for row in closed_events(engine)) == dict.fromkeys([key.username for key in keys], 3)
    assert read_trail(database_url).positions == list(range(1, 61))


def test_nothing_is_lost_between_counting_and_closing(database_url: str, engine: Engine) -> None:
    closer = make_writer(make_engine(Settings(database_url=database_url).url))
    closed = 0
    with ThreadPoolExecutor(1) as threads:
        counting = threads.submit(count_many, database_url, (ADA, ANY), 8, 100)
        while not counting.done():
            closed += close_windows(closer, timedelta(0))
        counting.result()
    closed += close_windows(closer, timedelta(0))
    closer.dispose()
    assert closed == len(closed_events(engine)) >= 2  # as often as it had its turn
    totals: Counter[str] = Counter()
    for row in closed_events(engine):
        totals[row.username] += row.details["count"]
    assert totals == {"ada": 100, "*": 100}


def test_what_cannot_be_appended_stays_counted(engine: Engine) -> None:
    add_at(engine, NOW, {ADA: 3})
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE trail_head RENAME TO elsewhere"))
    with pytest.raises(DatabaseError):
        close_at(engine, NOW + WINDOW)
    assert (counts_of(engine), closed_events(engine)) == ({ADA: 3}, [])
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO trail_head"))
    assert close_at(engine, NOW + WINDOW) == 1
    assert (counts_of(engine), len(closed_events(engine))) == ({}, 1)


def test_the_app_closes_what_was_left_behind(app: Flask, engine: Engine) -> None:
    """By whatever process is there, since its first request."""
    add_at(engine, datetime.now(UTC) - WINDOW, {ADA: 3})
    add_at(engine, datetime.now(UTC), {ANY: 3})
    assert app.test_client().get("/healthz").status_code == 200
    wait_until(lambda: closed_events(engine), "the window is not closed")
    assert [(row.username, row.details["count"]) for row in closed_events(engine)] == [("ada", 3)]
    assert counts_of(engine) == {ANY: 3}
    assert context_of(app).recorder.counters.refused == 0


class KilledError(Exception):
    """The service was killed: how it ends is nobody's business any longer."""


class Flood:
    """Clients that guess a password, as fast as they are answered, until they are not or have asked often enough."""

    def __init__(self, url: str, clients: int, times: int) -> None:
        self.host = urlsplit(url).netloc
        self.clients, self.times = clients, times
        self.statuses: Counter[int] = Counter()
        self.lock = threading.Lock()

    def __enter__(self) -> Self:
        self.pool = ThreadPoolExecutor(self.clients)
        self.running = [self.pool.submit(self._run) for _ in range(self.clients)]
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown()
        for each in self.running:
            each.result()

    def wait_for(self, status: int, count: int) -> None:
        wait_until(lambda: self.statuses[status] >= count, f"no {count} answers {status}", 60)

    def _run(self) -> None:
        with contextlib.closing(http.client.HTTPConnection(self.host, timeout=ANSWER_LIMIT)) as connection:
            for _ in range(self.times):
                try:
                    connection.request("POST", "/login/", "username=ada&password=wrong", {"Content-Type": FORM})
                    answer = connection.getresponse()
                    answer.read()
                except (OSError, http.client.HTTPException):  # it was killed
                    return
                with self.lock:
                    self.statuses[answer.status] += 1


FORM = "application/x-www-form-urlencoded"


def kill(service: Service) -> None:
    """End the service as a power cut would."""
    pids = [service.process.pid, *service.workers()]  # the parent first: it would replace the workers
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def refused_in_trail(engine: Engine) -> tuple[int, int]:
    """How many refused attempts the trail tells of: one by one, and counted."""
    throttled = [row.details for row in closed_events(engine) if row.reason == "throttled"]
    return throttled.count(None), sum(details["count"] for details in throttled if details)


def test_a_crash_in_a_flood_loses_no_refused_attempt(database_url: str, engine: Engine, tmp_path: Path) -> None:
    clients = 8
    settings = {
        "AUDIT_DATABASE_URL": database_url,
        "AUDIT_DATA_DIR": tmp_path / "data",
        "AUDIT_SECRET_KEY": SECRET_KEY,
        "AUDIT_WORKERS": 2,
    }
    with contextlib.suppress(KilledError), started_service(settings) as service:
        with Flood(service.url, clients, 1000) as flood:
            flood.wait_for(429, 150)
            kill(service)
        raise KilledError
    answered = flood.statuses[429]
    assert set(flood.statuses) == {401, 429}
    assert counted_rows(engine)
    assert refused_in_trail(engine)[1] == 0
    with started_service({**settings, "AUDIT_THROTTLE_WINDOW": 10}):
        wait_until(lambda: not counted_rows(engine), "the windows are not closed", 60)
    one_by_one, counted = refused_in_trail(engine)
    assert [row.username for row in closed_events(engine) if row.details] == ["ada"]
    assert answered <= one_by_one + counted <= answered + clients
    assert RECORDED <= one_by_one <= RECORDED + clients, "a flood fills the trail"
    trail = read_trail(database_url)
    assert trail.positions == list(range(1, trail.size + 1))
