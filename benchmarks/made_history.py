"""A made-up history, skewed as real traffic is: 400 days, 200,000 names, 50,000 addresses, 8 % failures."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from math import pi, sin

import psycopg
from sqlalchemy import create_engine, text

from audit_service.events.request_info import network_of
from tests.support.databases import migrated

DAYS, NAMES, ADDRESSES = 400, 200_000, 50_000
END = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)  # pages look at the last days
COLUMNS = (
    "id, seq, timestamp, recorded_at, app, remote_addr, request_id, network, action, outcome, reason, username, "
    "user_agent, method"
)
CHUNK = 20_000
Progress = Callable[[int], None]


def name(rank: int) -> str:
    """The name of that rank; 1 is the busiest."""
    return f"user{rank * 7919 % 200_003:06}@example.org"


def address(rank: int) -> str:
    """The address of that rank: two in five in one busy /16, some in twenty others, some anywhere, a fifth IPv6."""
    place, kind = rank * 2_654_435_761 % 2**32, rank % 20
    if kind < 8:
        return f"10.1.{place % 200}.{place // 200 % 250 + 1}"
    if kind < 11:
        return f"172.{16 + place % 16}.{place // 16 % 100}.{place // 1600 % 250 + 1}"
    if kind < 16:
        return f"{80 + place % 16}.{place // 16 % 250}.{place // 4000 % 250}.{rank % 250 + 1}"
    return f"2001:db8:{place % 300 + 1:x}:{place // 300 % 31 + 1:x}::{rank + 1:x}"


def rows(count: int) -> Iterator[tuple[object, ...]]:
    """Yield *count* rows in the order of arrival: busy by day, quiet at night and at weekends, a few come late."""
    made = random.Random(42)
    addresses = [(found := address(rank), network_of(found)) for rank in range(ADDRESSES + 1)]
    hours = range(DAYS * 24)
    weights = [
        (0.1 + max(0.0, sin(pi * (hour % 24 - 5) / 16)) ** 2) * (0.4 if hour // 24 % 7 > 4 else 1) for hour in hours
    ]
    total, seq, due = sum(weights), 0, 0.0
    for hour in hours:
        due += weights[hour] / total * count
        here = round(due) - seq
        start = END - timedelta(days=DAYS) + timedelta(hours=hour)
        for place in range(here):
            seq += 1
            recorded_at = start + timedelta(seconds=(place + made.random()) * 3600 / here)
            late = made.random()
            timestamp = recorded_at - timedelta(seconds=late * 400 if late < 0.001 else late * 0.02)
            remote_addr, network = addresses[int(ADDRESSES ** made.random())]
            is_logout = made.random() < 0.15
            is_failure = not is_logout and made.random() < 0.094
            milliseconds = int(timestamp.timestamp() * 1000)
            bits = made.getrandbits(74)
            yield (
                f"{milliseconds:012x}7{bits >> 62:03x}{(bits & (1 << 62) - 1) | 1 << 63:016x}",
                seq,
                timestamp.replace(tzinfo=None).isoformat(" ", "microseconds"),
                recorded_at.replace(tzinfo=None).isoformat(" ", "microseconds"),
                "shop" if late < 0.6 else "portal" if late < 0.99 else "admin",
                remote_addr,
                f"{made.getrandbits(64):016x}",
                network,
                "logout" if is_logout else "login",
                "failure" if is_failure else "success",
                ("throttled" if late < 0.02 else "unknown_user" if late < 0.3 else "bad_password")
                if is_failure
                else None,
                name(int(NAMES ** made.random())),
                f"Mozilla/5.0 (X11; Linux x86_64; rv:{seq % 40 + 100}.0) Gecko/20100101 Firefox/{seq % 40 + 100}.0",
                None if is_logout else "password",
            )


def fill_postgresql(url: str, count: int, progress: Progress) -> None:
    """Fill a new database by COPY. Indexes are made afterwards, from their own definitions."""
    migrated(url)
    with psycopg.connect(url) as connection:
        connection.execute("SET synchronous_commit = off; SET maintenance_work_mem = '1GB'; SET timezone = utc")
        indexes = connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'login_events' AND indexname LIKE 'ix_%'"
        ).fetchall()
        for index, _ in indexes:
            connection.execute(f"DROP INDEX {index}")
        with connection.cursor() as cursor, cursor.copy(f"COPY login_events ({COLUMNS}) FROM STDIN") as copy:
            for done, row in enumerate(rows(count), 1):
                copy.write_row(row)
                if done % CHUNK == 0:
                    progress(CHUNK)
        for _, definition in indexes:
            connection.execute(definition)
        connection.execute("UPDATE trail_head SET size = %s", (count,))
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")


def fill_sqlite(url: str, count: int, progress: Progress) -> None:
    """Fill a new SQLite file, with its indexes."""
    migrated(url)
    engine = create_engine(url)
    places = ", ".join("?" * len(COLUMNS.split(", ")))
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER login_events_no_replace")  # else it looks for each row
        batch: list[tuple[object, ...]] = []
        for row in rows(count):
            batch.append(row)
            if len(batch) == CHUNK:
                connection.exec_driver_sql(f"INSERT INTO login_events ({COLUMNS}) VALUES ({places})", batch)
                progress(CHUNK)
                batch = []
        if batch:
            connection.exec_driver_sql(f"INSERT INTO login_events ({COLUMNS}) VALUES ({places})", batch)
        connection.execute(text("UPDATE trail_head SET size = :count"), {"count": count})
        connection.exec_driver_sql("ANALYZE")
    engine.dispose()
