"""Refused attempts that are counted instead of recorded one by one, so that a flood cannot fill the trail.

A counter is one row outside the trail for a name (``*`` for any), a network and an app. When its window is over it
becomes one event with the count, the first and the last time. Both are one transaction, so totals stay exact whatever
ends in between.
"""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Engine, delete, exists, func, select
from sqlalchemy.dialects import postgresql, sqlite

from audit_service.events.logins import NewLogin
from audit_service.storage.dialects import is_postgresql
from audit_service.storage.models import RefusedAttempts
from audit_service.trail.append import append_within
from audit_service.vocabulary import Method, Outcome, Reason


class Key(NamedTuple):
    """Whose attempts are counted together; the network is "" if none is known."""

    network: str
    username: str
    app: str


class _Batch:
    def __init__(self) -> None:
        self.counts: Counter[Key] = Counter()
        self.is_written = False
        self.error: Exception | None = None


class RefusalCounter:
    """Counts durably. What is counted while another count is being written is written together, next."""

    def __init__(self, write: Callable[[Counter[Key]], None]) -> None:
        """*write* stores counts, for one thread at a time."""
        self._write = write
        self._adding = threading.Lock()
        self._writing = threading.Lock()
        self._next = _Batch()

    def count(self, key: Key) -> None:
        """Add one to the counter of *key*; return when that is durable. Raises what SQLAlchemy raises."""
        with self._adding:
            batch = self._next
            batch.counts[key] += 1
        with self._writing:
            if not batch.is_written:
                with self._adding:
                    self._next = _Batch()
                try:
                    self._write(batch.counts)
                except Exception as error:  # noqa: BLE001 - each caller in the batch raises it
                    batch.error = error
                batch.is_written = True
        if batch.error is not None:
            raise batch.error


def add_counts(engine: Engine, counts: Counter[Key]) -> None:
    """Add *counts* to their rows, in one transaction."""
    on_postgresql = is_postgresql(engine)
    insert: Any = postgresql.insert if on_postgresql else sqlite.insert
    latest = func.greatest if on_postgresql else func.max
    now = datetime.now(UTC)
    rows = [
        {**key._asdict(), "count": count, "first_at": now, "last_at": now}
        for key, count in sorted(counts.items())  # one order for all processes: they wait, and do not deadlock
    ]
    statement = insert(RefusedAttempts)
    statement = statement.on_conflict_do_update(
        index_elements=["network", "username", "app"],
        set_={
            "count": RefusedAttempts.count + statement.excluded.count,
            "last_at": latest(RefusedAttempts.last_at, statement.excluded.last_at),
        },
    )
    with engine.begin() as connection:
        connection.execute(statement, rows)


def close_windows(engine: Engine, window: timedelta) -> int:
    """Turn the counters whose *window* is over into events of the trail; return how many. Any process may do it."""
    is_over = RefusedAttempts.first_at <= datetime.now(UTC) - window
    with engine.connect() as connection:  # a look takes no lock
        if not connection.scalar(select(exists().where(is_over))):
            return 0
    with engine.begin() as connection:
        keys = (RefusedAttempts.network, RefusedAttempts.username, RefusedAttempts.app)
        connection.execute(select(*keys).where(is_over).order_by(*keys).with_for_update())  # in the order of all others
        rows = connection.execute(delete(RefusedAttempts).where(is_over).returning(RefusedAttempts)).all()
        if rows:  # else another process was first
            append_within(connection, [_event(row) for row in rows])
    return len(rows)


def counted_event(  # noqa: PLR0917 - as the columns of a counter
    network: str, username: str, app: str, reason: Reason, count: int, first: datetime, last: datetime
) -> NewLogin:
    """Return the event that tells of *count* failures from *network* ("" for none) between *first* and *last*."""
    return NewLogin(
        timestamp=last,
        app=app,
        username=username,
        network=network or None,
        outcome=Outcome.FAILURE,
        reason=reason,
        method=Method.PASSWORD,
        details={"last": last.isoformat(), "count": count, "first": first.isoformat()},
    )


def _event(row: Any) -> NewLogin:
    return counted_event(row.network, row.username, row.app, Reason.THROTTLED, row.count, row.first_at, row.last_at)
