"""Proof 6: whoever reports lists in a loop keeps nobody from logging in, and does not let SQLite's log grow."""

import contextlib
import http.client
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import make_url

from tests.faults import Progress
from tests.security.ground import Tokens, no_progress, populate, settings
from tests.support.accounts import PASSWORD
from tests.support.fault_tools import assert_nothing_lost
from tests.support.server import started_service

LIST = 500
REPORTERS = 8
USERS = 2
WAL_LIMIT = 32 * 1024 * 1024  # bytes


@dataclass
class Crowd:
    """Threads that send the same request as fast as it is answered, and what they were answered."""

    url: str
    statuses: Counter[int] = field(default_factory=Counter)
    ids: list[str] = field(default_factory=list)
    slowest: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, body: str, headers: dict[str, str]) -> None:
        with contextlib.closing(http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)) as connection:
            while not self.stop.is_set():
                started = time.monotonic()
                connection.request("POST", "/login/", body, {"Content-Type": "application/json", **headers})
                answer = connection.getresponse()
                content = json.loads(answer.read())
                with self.lock:
                    self.slowest = max(self.slowest, time.monotonic() - started)
                    self.statuses[answer.status] += 1
                    if answer.status == 200:
                        self.ids += content.get("events") or [content["event"]]
                if answer.status == 503:
                    self.stop.wait(float(answer.headers.get("Retry-After", 0)))


def crowd(database_url: str, folder: Path, times: int, progress: Progress = no_progress) -> str:
    """Report lists for *times* seconds, from several clients, beside people who log in."""
    tokens = populate(database_url)
    with started_service(settings(database_url, folder)) as service:
        reports, logins = Crowd(service.url), Crowd(service.url)
        threads = [*start(REPORTERS, reports, tokens), *start(USERS, logins)]
        largest = 0
        for _ in range(times):
            time.sleep(1)
            largest = max(largest, wal_size(database_url))
            progress(1)
        for each in (reports, logins):
            each.stop.set()
        for thread in threads:
            thread.join()
    result = (
        f"{logins.statuses[200]} logins, slowest {logins.slowest:.2f} s, refused: {logins.statuses[503]}; beside "
        f"{reports.statuses[200]} lists of {LIST}, {reports.statuses[503]} more were told to come later"
    )
    if largest:
        result += f"; the log was at most {largest / 1024 / 1024:.1f} MiB"
    assert set(logins.statuses) == {200}, result
    assert set(reports.statuses) <= {200, 503}, result
    assert largest <= WAL_LIMIT, result
    assert_nothing_lost(database_url, [*reports.ids, *logins.ids])
    return result


def start(count: int, crowd: Crowd, tokens: Tokens | None = None) -> list[threading.Thread]:
    """Start reporters with *tokens*, or people who log in."""
    body: object = {"username": "user", "password": PASSWORD}
    if tokens:
        body = [{"username": f"user-{n}", "outcome": "success", "user_agent": "x" * 100} for n in range(LIST)]
    arguments = (json.dumps(body), tokens.reporter() if tokens else {})
    threads = [threading.Thread(target=crowd.run, args=arguments) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def wal_size(database_url: str) -> int:
    """The bytes of SQLite's log; 0 on PostgreSQL."""
    wal = Path(f"{make_url(database_url).database}-wal")
    return wal.stat().st_size if wal.exists() else 0
