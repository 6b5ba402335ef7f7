"""``make bench-history``: what reading costs at ten million events, by real HTTP, next to plain SQL and OFFSET."""

import argparse
import http.client
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlencode, urlsplit

import click
import psycopg
from sqlalchemy import select
from sqlalchemy.orm import Session

from audit_service.access.accounts import add_account, find_account
from audit_service.access.tokens import add_token
from audit_service.events import logins
from audit_service.events.logins import LoginFilters
from audit_service.history.cursor import Cursors, Position
from audit_service.history.question import Question as Asked
from audit_service.settings.table import Settings
from audit_service.storage.database import make_engine
from audit_service.storage.models import LoginEvent
from audit_service.vocabulary import Role, Scope
from benchmarks.made_history import END, address, fill_postgresql, fill_sqlite, name
from tests.support.accounts import ACTOR, PASSWORD
from tests.support.apps import SECRET_KEY
from tests.support.postgres import private_postgres
from tests.support.server import started_service

PAGE = "ORDER BY timestamp DESC, seq DESC LIMIT 101"
LOGINS = "/api/logins"
IDLE = 10  # seconds after which a connection is made anew, before the service ends it
PERSON = name(1000)  # whose account reads the pages: of two logins a day


@dataclass
class Question:
    """A request, and the SQL that somebody would write for it; one set of parameters a turn. Times in milliseconds."""

    title: str
    path: str
    parameters: list[dict[str, Any]]
    sql: str
    times: dict[str, list[float]] = field(default_factory=dict)

    def note(self, title: str, taken: float) -> None:
        self.times.setdefault(title, []).append(taken)


def day(back: float) -> str:
    return (END - timedelta(days=back)).isoformat().replace("+00:00", "Z")


def questions() -> list[Question]:
    """The questions; those with a span of time have it in the middle of the 400 days, or at their end."""
    users = [{"username": name(rank)} for rank in (1, 2, 3)]
    rare = [{"username": name(rank)} for rank in (150_001, 160_003, 170_007)]
    by_name = f"SELECT * FROM login_events WHERE username = %(username)s {PAGE}"
    by_time = f"SELECT * FROM login_events WHERE timestamp >= %(since)s AND timestamp < %(until)s {PAGE}"
    week = [{"since": day(back + 7), "until": day(back)} for back in (200, 201, 202)]
    failed = "SELECT * FROM login_events WHERE outcome = 'failure'"
    spans = "timestamp >= %(since)s AND timestamp < %(until)s"
    by_hour = f"SELECT date_trunc('hour', timestamp), count(*) FROM login_events WHERE {spans} GROUP BY 1 ORDER BY 1"
    return [
        Question("first page", LOGINS, [{}], f"SELECT * FROM login_events {PAGE}"),
        Question("one busy user", LOGINS, users, by_name),
        Question("one rare user", LOGINS, rare, by_name),
        Question(
            "one address",
            LOGINS,
            [{"remote_addr": address(rank)} for rank in (1, 2, 9)],
            f"SELECT * FROM login_events WHERE remote_addr = %(remote_addr)s {PAGE}",
        ),
        Question(
            "a /16",
            LOGINS,
            [{"remote_addr": network} for network in ("172.16.0.0/16", "172.17.0.0/16", "10.1.0.0/16")],
            f"SELECT * FROM login_events WHERE remote_addr <<= %(remote_addr)s::inet {PAGE}",
        ),
        Question(
            "a rare /16",
            LOGINS,
            [{"remote_addr": str(ip_network((address(rank), 16), strict=False))} for rank in (40_012, 40_033, 40_054)],
            f"SELECT * FROM login_events WHERE remote_addr <<= %(remote_addr)s::inet {PAGE}",
        ),
        Question("failures only", LOGINS, [{"outcome": "failure"}], f"{failed} {PAGE}"),
        Question(
            "failures of the last day",
            LOGINS,
            [{"outcome": "failure", "since": day(1)}],
            f"{failed} AND timestamp >= %(since)s {PAGE}",
        ),
        Question("a week in the middle", LOGINS, week, by_time),
        Question(
            "one user's failures in a month",
            LOGINS,
            [{"outcome": "failure", "since": day(130), "until": day(100), **user} for user in users],
            f"{failed} AND username = %(username)s AND {spans} {PAGE}",
        ),
        Question("an empty result", LOGINS, [{"username": f"nobody{n}"} for n in range(3)], by_name),
        Question(
            "summary by hour of one day",
            f"{LOGINS}/summary",
            [{"by": "hour", "since": day(back + 1), "until": day(back)} for back in (100, 101, 102)],
            by_hour,
        ),
        Question(
            "summary by day of a month",
            f"{LOGINS}/summary",
            [{"by": "day", "since": day(130), "until": day(100)}],
            by_hour.replace("'hour'", "'day'"),
        ),
    ]


def pages() -> list[Question]:
    """Pages of the service, as the account of ``PERSON`` sees them, and the charts that they show as images."""
    busy = [{"username": name(rank)} for rank in (1, 2, 3)]
    return [
        Question("page: logins", "/logins/", [{}], ""),
        Question("page: logins, chart", "/logins/chart.svg", [{}], ""),
        Question("page: one busy user", "/logins/", busy, ""),
        Question("page: one busy user, chart", "/logins/chart.svg", busy, ""),
        Question("page: failures", "/logins/", [{"outcome": "failure"}], ""),
        Question("page: one's own activity", "/", [{}], ""),
        Question("page: one's own activity, chart", "/chart.svg", [{}], ""),
    ]


class Reader:
    """Somebody who reads over one kept connection."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._headers = headers
        self._asked = 0.0

    def get(self, path: str, parameters: dict[str, Any]) -> float:
        """Return the milliseconds until the whole answer is there."""
        target = f"{path}?{urlencode(parameters)}"
        if time.perf_counter() - self._asked > IDLE:
            self._connection.close()
            self._connection.connect()
        self._asked = started = time.perf_counter()
        self._connection.request("GET", target, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        taken = (time.perf_counter() - started) * 1000
        if answer.status != 200:
            raise RuntimeError(f"{target}: {answer.status} {body[:300]!r}")
        return taken


class Subject:
    """A filled database and a service on it."""

    def __init__(self, stack: ExitStack, url: str, folder: Path) -> None:
        engine = make_engine(Settings(database_url=url).url, writes=True)
        with Session(engine) as session:
            token = add_token(session, f"bench-{token_hex(4)}", Scope.READ, by=ACTOR)
            if find_account(session, PERSON) is None:
                add_account(session, PERSON, Role.AUDITOR, PASSWORD, by=ACTOR)
            session.commit()
        engine.dispose()
        settings = {"AUDIT_DATABASE_URL": url, "AUDIT_SECRET_KEY": SECRET_KEY, "AUDIT_DATA_DIR": str(folder)}
        self.url, self.token = url, token
        self.service = stack.enter_context(started_service(settings))
        self.reader = Reader(self.service.url, {"Authorization": f"Bearer {token}"})
        self.browser = Reader(self.service.url, {"Accept": "text/html,*/*;q=0.8", "Cookie": self._log_in()})

    def _log_in(self) -> str:
        """Log in by the form, and return the cookies."""
        connection = http.client.HTTPConnection(urlsplit(self.service.url).netloc, timeout=60)
        form = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
        connection.request("POST", "/login/", urlencode({"username": PERSON, "password": PASSWORD}), form)
        answer = connection.getresponse()
        if answer.status != 303:
            raise RuntimeError(f"the login was answered {answer.status}")
        return "; ".join(cookie.partition(";")[0] for cookie in answer.headers.get_all("Set-Cookie", []))

    def deep(self, page: int) -> dict[str, Any]:
        """The parameters of that page of a hundred, by a cursor."""
        engine = make_engine(Settings(database_url=self.url).url)
        with engine.connect() as connection:
            newest_first = select(LoginEvent.timestamp, LoginEvent.seq).order_by(
                LoginEvent.timestamp.desc(), LoginEvent.seq.desc()
            )
            timestamp, seq = connection.execute(newest_first.offset(page * 100 - 101).limit(1)).one()
        engine.dispose()
        cursors = Cursors(SECRET_KEY, Asked(kind=logins.LOGINS, filters=LoginFilters()))
        return {"cursor": cursors.encode(Position(timestamp, seq))}


def time_questions(
    asked: list[Question], subjects: dict[str, Subject], sql: psycopg.Connection[Any] | None, rounds: int
) -> None:
    """Ask each question of each subject, and by plain SQL, in turns; twice, and the second time counts.

    Else the first time would tell of what ran before: a summary leaves little in the processor's caches. For the same
    reason each round has an order of its own.
    """
    chance = random.Random(42)
    with click.progressbar(range(rounds), label="reading", file=sys.stderr) as bar:
        for turn in bar:
            for question in chance.sample(asked, len(asked)):
                parameters = question.parameters[turn % len(question.parameters)]
                for title, subject in subjects.items():
                    reader = subject.reader if question.path.startswith("/api/") else subject.browser
                    reader.get(question.path, parameters)
                    question.note(title, reader.get(question.path, parameters))
                if sql is not None and question.sql:
                    time_sql(sql, question.sql, parameters)
                    question.note("plain SQL", time_sql(sql, question.sql, parameters))


def time_sql(connection: psycopg.Connection[Any], sql: str, parameters: dict[str, Any]) -> float:
    started = time.perf_counter()
    connection.execute(sql, parameters, prepare=True).fetchall()
    return (time.perf_counter() - started) * 1000


def time_export(subject: Subject, since: str, folder: Path) -> dict[str, float]:
    """Export as NDJSON and CSV, next to psql's copy of the same rows; rows per second, and MB of memory."""
    result: dict[str, float] = {}
    for form in ("ndjson", "csv"):
        started, lines = time.perf_counter(), 0
        connection = http.client.HTTPConnection(urlsplit(subject.service.url).netloc, timeout=600)
        connection.request(
            "GET", f"{LOGINS}.{form}?since={since}", headers={"Authorization": f"Bearer {subject.token}"}
        )
        answer = connection.getresponse()
        largest = 0.0
        while block := answer.read(1 << 20):
            lines += block.count(b"\n")
            largest = max(largest, *(resident(pid) for pid in subject.service.workers()))
        result[f"{form} rows/s"] = lines / (time.perf_counter() - started)
        result[f"{form} MB"] = largest
    copy = f"\\copy (SELECT * FROM login_events WHERE timestamp >= '{since}') TO '{folder}/copied' CSV"
    started = time.perf_counter()
    done = subprocess.run(["psql", subject.url, "-c", copy], capture_output=True, text=True, check=True)
    result["psql rows/s"] = int(done.stdout.split()[1]) / (time.perf_counter() - started)
    (folder / "copied").unlink()
    return result


def resident(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found.group(1)) / 1024 if found else 0.0


def show(asked: list[Question], titles: list[str]) -> None:
    heads = [head for title in titles for head in (f"{title} p50", "p99")]
    click.echo(f"| question | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
    for question in asked:
        cells = []
        for title in titles:
            times = sorted(question.times.get(title, []))
            cells += [f"{statistics.median(times):.1f}", f"{times[int(len(times) * 0.99)]:.1f}"] if times else ["", ""]
        click.echo(f"| {question.title} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="of PostgreSQL")
    parser.add_argument("--small", type=int, default=10_000, help="of the PostgreSQL that it is compared with")
    parser.add_argument("--sqlite-rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--only", default="", help="questions whose title has this text, such as 'page:'")
    parser.add_argument("--server", help="the URL of a PostgreSQL that keeps the databases for the next run")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/history.json"))
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = arguments.server or stack.enter_context(private_postgres()).url()
        urls = {title: filled_database(server, title, getattr(arguments, title)) for title in ("rows", "small")}
        sqlite = f"sqlite:///{folder}/history.db"
        fill("SQLite", arguments.sqlite_rows, partial(fill_sqlite, sqlite))
        large = Subject(stack, urls["rows"], folder / "large")
        subjects = {"10 M, HTTP": large, "10 k, HTTP": Subject(stack, urls["small"], folder / "small")}
        embedded = Subject(stack, sqlite, folder / "embedded")
        connection = stack.enter_context(psycopg.connect(urls["rows"], autocommit=True, options="-c timezone=utc"))
        asked = [each for each in (*questions(), *pages()) if arguments.only in each.title]
        deep = arguments.rows // 1000
        asked += deep_questions(large, connection, deep)
        time_questions(asked, {"10 M, HTTP": large}, connection, 5)  # warm up
        for question in asked:
            question.times.clear()
        time_questions(asked[:-2], subjects, connection, arguments.rounds)
        time_questions(asked[-2:], {"10 M, HTTP": large}, connection, arguments.rounds)
        time_questions(asked[:-2], {"SQLite, 1 M, HTTP": embedded}, None, arguments.rounds // 3)
        offset = [time_sql(connection, f"SELECT * FROM login_events {PAGE} OFFSET {deep * 100}", {}) for _ in range(3)]
        export = time_export(large, day(80), folder)
    show(asked, ["10 M, HTTP", "plain SQL", "10 k, HTTP", "SQLite, 1 M, HTTP"])
    click.echo(f"\npage {deep:,} by OFFSET, plain SQL: {statistics.median(offset):.0f} ms")
    click.echo("export: " + ", ".join(f"{name} {value:,.0f}" for name, value in export.items()))
    arguments.json.write_text(
        json.dumps({"times": {each.title: each.times for each in asked}, "offset": offset, "export": export}) + "\n"
    )


def deep_questions(subject: Subject, connection: psycopg.Connection[Any], page: int) -> list[Question]:
    """Two that only the large database has: a page far down, and an event by its id."""
    timestamp, seq, event_id = connection.execute(  # type: ignore[misc]
        f"SELECT timestamp, seq, id FROM login_events {PAGE.replace('101', '1')} OFFSET {page * 100}"
    ).fetchone()
    cursor = "SELECT * FROM login_events WHERE (timestamp, seq) < (%(timestamp)s, %(seq)s)"
    by_cursor = Question(f"page {page:,} by cursor", LOGINS, [subject.deep(page)], "")
    by_cursor.sql = f"{cursor} {PAGE}".replace("%(timestamp)s", f"'{timestamp}'").replace("%(seq)s", str(seq))
    by_id = f"SELECT * FROM login_events WHERE id = '{event_id}'"
    return [by_cursor, Question("a single event", f"{LOGINS}/{event_id}", [{}], by_id)]


def filled_database(server: str, title: str, count: int) -> str:
    """Return the URL of a database of that many events until today: one that an earlier run left, or a new one."""
    name = f"bench_{title}_{count}_{END:%Y%m%d}"
    url = server.rsplit("/", 1)[0] + f"/{name}"
    with psycopg.connect(server, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return url
        connection.execute(f"CREATE DATABASE {name}".encode())
    fill("PostgreSQL", count, partial(fill_postgresql, url))
    return url


def fill(title: str, count: int, work: Callable[[int, Callable[[int], None]], None]) -> None:
    with click.progressbar(length=count, label=f"filling {title}", file=sys.stderr) as bar:
        work(count, bar.update)


if __name__ == "__main__":
    main()
