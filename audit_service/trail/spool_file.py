"""The SQLite file that the spool is kept in: its tables, its transactions, and the lock for replaying it."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audit_service.settings.data_folder import make_file
from audit_service.storage import sqlite_file
from audit_service.trail.turnstile import is_at

_REMEDY = "the spool is in the data folder (AUDIT_DATA_DIR), which this user must be able to write to"
_FORMAT = 1  # of the file: PRAGMA user_version
# An event's trail is null while the trail at its target is unknown; in files of older versions both are null.
_TABLES = (
    """CREATE TABLE IF NOT EXISTS events (
        place INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, event BLOB NOT NULL, spooled_at REAL NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS rejected (
        place INTEGER PRIMARY KEY, kind TEXT NOT NULL, event BLOB NOT NULL, spooled_at REAL NOT NULL,
        error TEXT NOT NULL
    )""",
    *(
        f"ALTER TABLE {table} ADD COLUMN {name} TEXT"
        for table in ("events", "rejected")
        for name in ("trail", "target")
    ),
    "CREATE INDEX events_of_trail ON events (trail)",
    "CREATE INDEX events_of_target ON events (target) WHERE trail IS NULL",
    "CREATE TABLE trails (target TEXT PRIMARY KEY, trail TEXT NOT NULL)",  # the last one that was seen there
    f"PRAGMA user_version = {_FORMAT}",
)


class SpoolFile:
    """The file. Opened when it is first needed, and anew after an error or when it was moved or removed.

    For one thread at a time. What fails is rolled back, and raises ``sqlite3.Error`` or ``OSError``.
    """

    def __init__(self, path: Path) -> None:
        """Use the file at *path*; its folder must exist when it is first used."""
        self.path = path
        self._connection: sqlite_file.FileConnection | None = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One transaction that only reads, in a file that must be there."""
        with self._transaction(time.monotonic() + 1, "BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self, deadline: float) -> Iterator[sqlite3.Connection]:
        """One transaction that writes, begun before *deadline*, in a file that is made if there is none."""
        make_file(self.path)
        with self._transaction(deadline, "BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def _transaction(self, deadline: float, begin: str) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._open()
            left = max(1, int((deadline - time.monotonic()) * 1000))
            connection.execute(f"PRAGMA busy_timeout={left}")
            connection.execute(begin)
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            self.close()  # which rolls back
            raise

    def is_there(self) -> bool:
        """Tell whether the file that is open is still the one at its path."""
        return self._connection is not None and self._connection.is_there()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._connection.is_there():
            return self._connection
        self._connection = None  # what were written to a file that was moved away now would be lost
        connection = sqlite_file.connect(self.path, _REMEDY, timeout=1)
        try:
            if _format(connection) < _FORMAT:
                self._bring_up(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _bring_up(self, connection: sqlite3.Connection) -> None:
        """Make the tables, or add to those of an older file, in one transaction."""
        for name in ("", "-wal", "-shm"):  # older versions let all users read the last two
            self.path.with_name(f"{self.path.name}{name}").chmod(0o600)
        connection.execute("BEGIN IMMEDIATE")
        if _format(connection) < _FORMAT:  # else another process was first
            for statement in _TABLES:
                connection.execute(statement)
        connection.execute("COMMIT")

    @contextmanager
    def replay_lock(self) -> Iterator[bool]:
        """Take the lock for replaying, which ends with the process; yield whether it is ours."""
        path = self.path.with_name(f"{self.path.name}-replay")
        file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield is_at(file, path)  # the lock of a file that was removed meanwhile keeps no other process out
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # closing is not enough: a child forked meanwhile holds the file, too
            os.close(file)

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _format(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found
