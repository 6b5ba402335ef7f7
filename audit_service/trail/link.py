"""One connection to the trail's database, on which nothing takes longer than its caller has time for."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, update
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from audit_service.bounded import bound_waits
from audit_service.database import engine_options, prepare_engine
from audit_service.errors import IdTakenError
from audit_service.events import NewEvent
from audit_service.models import TrailHead
from audit_service.trail.append import append
from audit_service.trail.turnstile import Turnstile


class Link:
    """A connection that is opened when it is first used. After an error it is closed, and opened anew by the next use.

    For one thread at a time.
    """

    def __init__(self, url: URL, timeout: float, connect_args: Mapping[str, Any] | None = None) -> None:
        """*timeout*, in seconds, is the longest that a statement may keep the server busy."""
        self._engine = _make_engine(url, timeout, connect_args)
        self._connection: Connection | None = None
        self._turnstile = Turnstile(Path(str(url.database))) if url.get_backend_name() == "sqlite" else None

    def append(self, events: Sequence[NewEvent], deadline: float) -> None:
        """Store *events* as ``append.append`` does, before *deadline* (``time.monotonic``) or not at all.

        Raises ``IdTakenError`` for those whose id another event has, when all others are stored.
        """
        with self._use(deadline) as connection:
            taken = append(connection, events)
        if taken:
            raise IdTakenError(taken)

    def probe(self, deadline: float) -> None:
        """Return if the trail can be written to: takes the lock of its head, and changes nothing."""
        with self._use(deadline) as connection, connection.begin():
            connection.execute(update(TrailHead).values(size=TrailHead.size).returning(TrailHead.size)).scalar_one()

    def close(self) -> None:
        """Close the connection, without waiting for a server that hangs."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
        if self._turnstile:
            self._turnstile.close()

    @contextmanager
    def _use(self, deadline: float) -> Iterator[Connection]:
        try:
            connection = self._connection = self._connection or self._engine.connect()
            driver: Any = connection.connection.dbapi_connection
            if self._turnstile is None:
                driver.deadline = deadline
                yield connection
            else:
                with self._turnstile.passed(deadline):
                    left = max(1, int((deadline - time.monotonic()) * 1000))
                    driver.execute(f"PRAGMA busy_timeout={left}")  # others may write, too: the command line, the app
                    yield connection
        except BaseException:
            self.close()
            raise


def _make_engine(url: URL, timeout: float, connect_args: Mapping[str, Any] | None) -> Engine:
    options = {**engine_options(url, connect_args), "poolclass": NullPool}
    options.pop("pool_timeout")
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, **options)
        prepare_engine(engine, begin="BEGIN IMMEDIATE")
        return engine
    # The server ends what nobody waits for any longer, so that a lock is not held for ever; TCP does the same for a
    # peer that is gone.
    milliseconds = max(1, int(timeout * 1000))
    arguments = options["connect_args"]
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        arguments["options"] += f" -c {name}={milliseconds}"
    arguments.setdefault("tcp_user_timeout", milliseconds)
    engine = create_engine(url, isolation_level="AUTOCOMMIT", **options)
    bound_waits(engine, timeout)
    return engine
