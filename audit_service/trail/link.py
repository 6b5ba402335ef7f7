"""One connection to the trail's database, on which nothing takes longer than its caller has time for."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, create_engine, update
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from audit_service.errors import IdTakenError
from audit_service.events.base import NewEvent
from audit_service.storage.bounded import bound_waits
from audit_service.storage.database import engine_options, prepare_engine, sqlite_path
from audit_service.storage.dialects import is_sqlite
from audit_service.storage.models import TrailHead
from audit_service.storage.sqlite_file import FileConnection, MovedError, leave
from audit_service.trail.append import append_batch
from audit_service.trail.identity import Identity, read_trail
from audit_service.trail.turnstile import Turnstile


class OtherTrailError(Exception):
    """The database holds another trail than the one that the events belong to."""


class Link:
    """A connection that is opened when it is first used. After an error it is closed, and opened anew by the next use.

    For one thread at a time.
    """

    def __init__(
        self,
        url: URL,
        timeout: float,
        identity: Identity | None = None,
    ) -> None:
        """*timeout*, in seconds, is the longest that a statement may keep the server busy; *identity* learns."""
        self._engine = _make_engine(url, timeout)
        self._identity = identity or Identity(url)
        self._connection: Connection | None = None
        self._trail: UUID | None = None
        self._path = sqlite_path(url) if is_sqlite(url) else None
        self._turnstile = Turnstile(self._path) if self._path else None

    def append(self, events: Sequence[NewEvent], deadline: float, trail: UUID | None = None) -> None:
        """Store *events* as ``append_batch`` does, before *deadline* (``time.monotonic``) or not at all.

        With *trail*, in that one only: raises ``OtherTrailError`` if the database holds another. Raises
        ``IdTakenError`` for those whose id another event has, when all others are stored, and ``MovedError`` if the
        SQLite file is taken away while they are stored, again and again.
        """
        for is_last in (False, True):
            try:
                with self._use(deadline) as connection:
                    if trail not in (None, self._trail):
                        raise OtherTrailError(f"{self.target} holds the trail {self._trail}, not {trail}")
                    taken = append_batch(connection, events)
            except MovedError:  # stored perhaps, but not in the file that is there: the ids make it harmless
                if is_last:
                    raise
            else:
                if taken:
                    raise IdTakenError(taken)
                return

    def probe(self, deadline: float) -> UUID | None:
        """Return which trail it is, if it can be written to: takes the lock of its head, and changes nothing."""
        with self._use(deadline) as connection, connection.begin():
            connection.execute(update(TrailHead).values(size=TrailHead.size).returning(TrailHead.size)).scalar_one()
        return self._trail

    @property
    def target(self) -> str:
        """The database's address, without user and password."""
        return self._identity.target

    def rest(self) -> None:
        """Give a server its connection back; a file stays open, so that this process notices when it is moved away."""
        if self._path is None:
            self.close()

    def is_there(self) -> bool:
        """Tell whether the SQLite file is the one that was opened. A server always is there."""
        return not self._has_moved()

    def revision_fault(self, deadline: float) -> str | None:
        """Return what is wrong with the revision of the database, and the remedy; None if nothing is."""
        from audit_service.storage.schema import fault_of, read_revision  # noqa: PLC0415 - Alembic: not at each import

        with self._use(deadline) as connection, connection.begin():
            return fault_of(read_revision(connection))

    def close(self) -> None:
        """Close the connection, without waiting for a server that hangs."""
        self._disconnect()
        if self._turnstile:
            self._turnstile.close()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    @contextmanager
    def _use(self, deadline: float) -> Iterator[Connection]:
        with self._turnstile.passed(deadline) if self._turnstile else nullcontext():
            if self._path:
                leave(self._path)  # in our turn: no other writer is in the middle of something
                if self._has_moved():
                    self._disconnect()
            try:
                yield self._open(deadline)
            except BaseException:
                self.close()
                raise
            if self._has_moved():  # what was done may have been done to a file that is gone
                raise MovedError(f"{self._path} was moved or replaced")

    def _open(self, deadline: float) -> Connection:
        is_new = self._connection is None
        connection = self._connection = self._connection or self._engine.connect()
        driver = self._driver()
        if self._path:
            left = max(1, int((deadline - time.monotonic()) * 1000))
            driver.execute(f"PRAGMA busy_timeout={left}")  # others may write, too: the command line, the app
        else:
            driver.deadline = deadline
        if is_new:
            with connection.begin():
                self._trail = read_trail(connection)
            self._identity.see(self._trail)
        return connection

    def _has_moved(self) -> bool:
        driver = self._driver()
        return isinstance(driver, FileConnection) and not driver.is_there()

    def _driver(self) -> Any:
        return self._connection.connection.dbapi_connection if self._connection is not None else None


def _make_engine(url: URL, timeout: float) -> Engine:
    options = {**engine_options(url), "poolclass": NullPool}
    options.pop("pool_timeout")
    if is_sqlite(url):
        engine = create_engine(url, **options)
        prepare_engine(engine, begin="BEGIN IMMEDIATE")
        return engine
    # The server ends a statement when its caller has given up, so that no lock is held for ever; TCP does the same for
    # a peer that is gone.
    milliseconds = max(1, int(timeout * 1000))
    arguments = options["connect_args"]
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        arguments["options"] += f" -c {name}={milliseconds}"
    arguments.setdefault("tcp_user_timeout", milliseconds)
    engine = create_engine(url, isolation_level="AUTOCOMMIT", **options)
    bound_waits(engine, timeout)
    return engine
