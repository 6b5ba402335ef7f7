"""How the signer reads and writes the database: bounded waits, and on SQLite its turn among the writers of events."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Self

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

from audit_service.storage.database import make_engine, sqlite_path
from audit_service.storage.dialects import is_sqlite
from audit_service.trail.turnstile import Turnstile

PATIENCE = 30.0  # seconds to wait for an answer or for a turn; nobody waits for the signer


class Database:
    """The two ways into the database. For one thread. As a context manager it closes its connections in the end."""

    def __init__(self, url: URL) -> None:
        """Open nothing yet."""
        self.reader: Engine = make_engine(url, patience=PATIENCE)
        self._writer = make_engine(url, writes=True, patience=PATIENCE) if is_sqlite(url) else self.reader
        self._turnstile = Turnstile(sqlite_path(url)) if is_sqlite(url) else None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction for reading. Raises what SQLAlchemy raises."""
        with self.reader.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction for a change, and commit it. Raises what SQLAlchemy raises, and ``TimeoutError``."""
        turn = self._turnstile.passed(time.monotonic() + PATIENCE) if self._turnstile else nullcontext()
        with turn, self._writer.begin() as connection:
            yield connection

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self.reader.dispose()
        self._writer.dispose()
        if self._turnstile:
            self._turnstile.close()
