"""Proof 5: a flood of attempts stays bounded, and its totals exact."""

import contextlib
import http.client
import re
import shutil
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import inspect, make_url, select, text

from audit_service.access.refusals import close_windows
from audit_service.storage.dialects import is_postgresql
from audit_service.storage.models import LoginEvent, TrailHead
from audit_service.vocabulary import Reason
from tests.faults import Progress
from tests.security.ground import engine_of, no_progress, populate, settings
from tests.support.fault_tools import assert_nothing_lost
from tests.support.server import started_service

NAMES = 1000
CONNECTIONS = 32
BUSY = "too many logins at the moment"  # what is answered (503) to an attempt that waits too long for its turn
FLOODER = f"""
function init(args)
  wanted, sent, refused, wrong, busy, other, n = tonumber(args[1]), 0, 0, 0, 0, 0, 0
end
function delay()  -- asked before each request: exactly so many are sent
  if sent == wanted then return 86400000 end
  sent = sent + 1
  return 0
end
function request()
  n = n + 1
  local headers = {{["Content-Type"] = "application/x-www-form-urlencoded"}}
  return wrk.format("POST", "/login/", headers, "username=name-" .. n % {NAMES} .. "&password=wrong")
end
function response(status, headers, body)
  if status == 429 then refused = refused + 1
  elseif status == 401 then wrong = wrong + 1
  elseif string.find(body, "{BUSY}") then busy = busy + 1
  else other = other + 1 end
  if refused + wrong + busy + other == wanted then
    io.write(string.format("answers %d %d %d %d\\n", refused, wrong, busy, other))
    os.exit(0)  -- wrk itself ends only when its time is over
  end
end
"""


@dataclass
class Answers:
    """Answers to attempts to log in."""

    refused: int = 0
    wrong: int = 0
    busy: int = 0
    other: int = 0

    def add(self, more: "Answers") -> None:
        self.refused += more.refused
        self.wrong += more.wrong
        self.busy += more.busy
        self.other += more.other


def attack(url: str, folder: Path, count: int) -> Answers:
    """Make *count* attempts, all from one network, by ``wrk`` if it is there."""
    wrk = shutil.which("wrk")
    return _attack_by_wrk(wrk, url, folder, count) if wrk else _attack_by_threads(url, count)


def _attack_by_wrk(wrk: str, url: str, folder: Path, count: int) -> Answers:
    script = folder / "flood.lua"
    script.write_text(FLOODER)
    limits = ["-t1", f"-c{CONNECTIONS}", "-d3600s", "--timeout", "60s"]
    done = subprocess.run(
        [wrk, *limits, "-s", str(script), url, "--", str(count)], capture_output=True, text=True, check=True
    )
    match = re.search(r"answers (\d+) (\d+) (\d+) (\d+)", done.stdout)
    assert match, done.stdout
    return Answers(*map(int, match.groups()))


def _attack_by_threads(url: str, count: int) -> Answers:
    answers, lock = Answers(), threading.Lock()
    numbers = iter(range(count))

    def run() -> None:
        statuses: Counter[int] = Counter()
        with contextlib.closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)) as connection:
            while True:
                with lock:
                    n = next(numbers, None)
                if n is None:
                    break
                headers = {"Content-Type": "application/x-www-form-urlencoded"}
                connection.request("POST", "/login/", f"username=name-{n % NAMES}&password=wrong", headers)
                answer = connection.getresponse()
                is_busy = BUSY.encode() in answer.read()
                statuses[0 if is_busy else answer.status] += 1
        with lock:
            refused, wrong, busy = (statuses.pop(status, 0) for status in (429, 401, 0))
            answers.add(Answers(refused, wrong, busy, statuses.total()))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def rows_and_bytes(database_url: str) -> tuple[int, int]:
    """How much is in the database: rows of all tables, and bytes of tables with their indexes, or of the files."""
    with engine_of(database_url) as engine, engine.connect() as connection:
        names = inspect(connection).get_table_names()
        rows = sum(connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in names)
        if is_postgresql(engine):
            sizes = [
                connection.execute(text(f"SELECT pg_total_relation_size('{name}')")).scalar_one() for name in names
            ]
            return rows, sum(sizes)
    path = Path(make_url(database_url).database or "")
    return rows, sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


def flood(database_url: str, folder: Path, times: int, progress: Progress = no_progress) -> str:
    """Try to log in under many names from one network: what the trail grows by, and that every refusal is counted."""
    populate(database_url)
    answers, part = Answers(), max(500, times // 20)
    rows_before, bytes_before = rows_and_bytes(database_url)
    with started_service(settings(database_url, folder)) as service:
        started = time.monotonic()
        for done in range(0, times, part):
            count = min(part, times - done)
            answers.add(attack(service.url, folder, count))
            progress(count)
        took = time.monotonic() - started
    with engine_of(database_url) as engine:
        close_windows(engine, timedelta())  # as the service does when a window is over
        with engine.connect() as connection:
            found = connection.execute(select(LoginEvent.reason, LoginEvent.details)).all()
            (size,) = connection.execute(select(TrailHead.size)).one()
    rows, used = (after - before for after, before in zip(
        rows_and_bytes(database_url), (rows_before, bytes_before), strict=True
    ))  # fmt: skip
    refused = [row.details["count"] if row.details else 1 for row in found if row.reason == Reason.THROTTLED]
    assert answers.other == 0, f"{answers.other} answers are neither 401 nor 429"
    assert answers.refused + answers.wrong + answers.busy == times
    assert sum(refused) == answers.refused, f"{sum(refused)} refusals in the trail, {answers.refused} were answered"
    assert sum(row.reason == Reason.UNKNOWN_USER for row in found) == answers.wrong
    assert_nothing_lost(database_url, [])
    assert rows <= answers.wrong + 100, f"{rows} rows for {times} attempts"
    return (
        f"{times / took:.0f}/s: {answers.wrong} x 401, {answers.refused} x 429, {answers.busy} x 503; "
        f"{rows} rows and {used / 1024:.0f} KiB more; {len(refused)} events tell of {sum(refused)} refusals; "
        f"{size} events, `seq` is 1…n"
    )
