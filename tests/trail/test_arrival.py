"""The order of arrival: who follows it by cursor sees every event once, whatever happens to those who write."""

import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, select

from audit_service.context import context_of
from audit_service.history import query
from audit_service.storage.models import LoginEvent, TrailHead
from tests.factories import LoginFactory
from tests.support.children import context, record_lists
from tests.support.reader import Reader

WRITERS = 3
ENOUGH = 60  # events of each writer that lives
PATIENCE = 120.0  # seconds, for a machine that has other things to do


class Follower:
    """Somebody who pages by cursor, for ever."""

    def __init__(self, reader: Reader, **filters: Any) -> None:
        self.reader, self.asked = reader, {"order": "arrival", "limit": 20, **filters}
        self.seen: list[int] = []
        self.pages = 0

    def go_on(self) -> int:
        """Read a page; return how many events were on it. There is always a cursor for the next."""
        answer = self.reader.get("/api/logins", **self.asked)
        assert answer.status_code == 200, answer.text
        body = answer.get_json()
        assert body["next"]
        assert answer.headers["Link"] == f'<{body["next_url"]}>; rel="next"'
        self.asked["cursor"] = body["next"]
        self.seen += [item["seq"] for item in body["items"]]
        self.pages += 1
        return len(body["items"])


def stored(engine: Engine, *conditions: Any) -> list[int]:
    with engine.connect() as connection:
        return list(connection.scalars(select(LoginEvent.seq).where(*conditions).order_by(LoginEvent.seq)))


def size_of(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(select(TrailHead.size)).scalar_one())


@pytest.fixture
def writers(database_url: str, tmp_path: Path) -> Iterator[list[ForkServerProcess]]:
    """Processes that write; the first one never ends by itself."""
    counts = [1_000_000, *[ENOUGH // 2] * (WRITERS - 1)]
    processes = [
        context().Process(target=record_lists, args=(database_url, str(tmp_path), f"writer-{n}", count))
        for n, count in enumerate(counts)
    ]
    for process in processes:
        process.start()
    yield processes
    for process in processes:
        process.kill()
        process.join()


def test_a_follower_misses_nothing(reader: Reader, engine: Engine, writers: list[ForkServerProcess]) -> None:
    everything, filtered = Follower(reader), Follower(reader, username=["writer-1", "writer-2"])
    followers = (everything, filtered)
    deadline = time.monotonic() + PATIENCE
    doomed, *others = writers
    turn = 0
    while any(process.is_alive() for process in writers):
        assert time.monotonic() < deadline, "the writers do not end"
        # One of the others in turn is stopped where it just is, perhaps in the middle of a transaction.
        paused = others[turn // 2 % len(others)]
        if paused.is_alive() and paused.pid:
            os.kill(paused.pid, signal.SIGSTOP if turn % 2 == 0 else signal.SIGCONT)
        for follower in followers:
            follower.go_on()
        if doomed.is_alive() and len(everything.seen) > ENOUGH:
            doomed.kill()
            doomed.join()
        turn += 1
    assert doomed.exitcode == -signal.SIGKILL
    assert [process.exitcode for process in others] == [0] * len(others)
    for follower in followers:
        while follower.go_on():
            assert time.monotonic() < deadline
    assert everything.seen == stored(engine)
    assert len(everything.seen) > ENOUGH * (WRITERS - 1)
    assert filtered.seen == stored(engine, LoginEvent.username.in_(["writer-1", "writer-2"]))
    assert filtered.seen

    late = [LoginFactory(username="writer-1"), LoginFactory(username="somebody")]
    assert [follower.go_on() for follower in followers] == [2, 1]
    assert everything.seen[-2:] == stored(engine)[-2:]
    assert stored(engine, LoginEvent.id == late[0].id) == filtered.seen[-1:]
    assert [follower.go_on() for follower in followers] == [0, 0]


def test_a_rare_filter_takes_short_pages_and_gets_on(
    app: Flask, reader: Reader, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "ARRIVAL_SPAN", 10)
    rare = (0, 1, 2, 55, 78, 79)
    events = [LoginFactory.build(username="rare" if n in rare else "usual") for n in range(80)]
    context_of(app).recorder.record_all(events)
    follower = Follower(reader, username="rare")
    sizes = []
    while len(follower.seen) < len(rare):
        sizes.append(follower.go_on())
        assert follower.pages <= size_of(engine) // 10 + 1
    assert follower.seen == stored(engine, LoginEvent.username == "rare")
    assert sizes.count(0) > 3
    assert max(sizes) == 3
    full = Follower(reader, limit=2, username="rare")  # a page that is full before its positions are over
    while len(full.seen) < len(rare):
        assert full.go_on() <= 2
    assert full.seen == follower.seen
    assert follower.go_on() == 0
    LoginFactory(username="rare")
    assert follower.go_on() == 1
