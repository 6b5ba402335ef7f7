"""Where events wait, durably, while the database is away: a SQLite file that all processes of a machine share.

It is used by one thread of a process at a time (the recorder sees to that); between processes SQLite's locks order it.
"""

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from audit_service.events import NewAdmin, NewError, NewEvent, NewLogin

BATCH = 500  # events that are replayed at once

_KINDS: dict[str, type[NewEvent]] = {"login": NewLogin, "error": NewError, "admin": NewAdmin}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_TABLES = """
CREATE TABLE IF NOT EXISTS events (
    place INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, event BLOB NOT NULL, spooled_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS rejected (
    place INTEGER PRIMARY KEY, kind TEXT NOT NULL, event BLOB NOT NULL, spooled_at REAL NOT NULL, error TEXT NOT NULL
);
"""


class SpoolState(NamedTuple):
    """What waits: how many events, for how many seconds the oldest, and how many the database refused for good."""

    length: int
    oldest_age: float | None
    rejected: int


class Spool:
    """The file. Opened when it is first needed, and anew after an error or when it was removed."""

    def __init__(self, path: Path) -> None:
        """Keep the spool in *path*; its folder must exist when the spool is first used."""
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def add(self, events: Sequence[NewEvent], deadline: float) -> None:
        """Store *events* durably before *deadline* (``time.monotonic``). Raises ``sqlite3.Error`` or ``OSError``."""
        now = time.time()
        rows = [(_NAMES[type(event)], msgspec.json.encode(event), now) for event in events]
        with self._use(deadline) as connection:
            connection.executemany("INSERT INTO events (kind, event, spooled_at) VALUES (?, ?, ?)", rows)

    def state(self) -> SpoolState:
        """Tell what waits. Does not make the file."""
        if not self.path.exists():
            return SpoolState(0, None, 0)
        with self._use(time.monotonic() + 1) as connection:
            length, oldest = connection.execute("SELECT count(*), min(spooled_at) FROM events").fetchone()
            (rejected,) = connection.execute("SELECT count(*) FROM rejected").fetchone()
        return SpoolState(length, None if oldest is None else max(0.0, time.time() - oldest), rejected)

    def replay(self, append: Callable[[list[NewEvent]], None], is_poison: Callable[[Exception], bool]) -> Iterator[int]:
        """Move the events into the trail with *append*, in order; yield how many after each batch.

        An event leaves the spool only after *append* returned. If the process ends in between, the next replay appends
        it again under the same id, which changes nothing. An event for which *append* raises what *is_poison* says can
        never be stored is set aside in the table ``rejected``. One process at a time: others yield nothing.
        """
        if not self.path.exists():
            return
        with self._replay_lock() as is_ours:
            while is_ours:
                with self._use(time.monotonic() + 1) as connection:
                    rows = connection.execute(
                        "SELECT place, kind, event FROM events ORDER BY place LIMIT ?", (BATCH,)
                    ).fetchall()
                if not rows:
                    return
                refused = self._move(append, is_poison, rows)
                with self._use(time.monotonic() + 1) as connection:
                    for place, error in refused.items():
                        connection.execute(
                            "INSERT INTO rejected SELECT *, ? FROM events WHERE place = ?", (error[:500], place)
                        )
                    connection.executemany("DELETE FROM events WHERE place = ?", [(row[0],) for row in rows])
                yield len(rows) - len(refused)

    @staticmethod
    def _move(
        append: Callable[[list[NewEvent]], None],
        is_poison: Callable[[Exception], bool],
        rows: list[tuple[int, str, bytes]],
    ) -> dict[int, str]:
        """Append a batch; if one event spoils it, one by one. Return the errors of those that can never be stored."""
        events: dict[int, NewEvent] = {}
        refused: dict[int, str] = {}
        for place, kind, event in rows:
            try:
                events[place] = msgspec.json.decode(event, type=_KINDS[kind])
            except (KeyError, msgspec.DecodeError) as error:
                refused[place] = repr(error)
        try:
            append(list(events.values()))
        except Exception as error:
            if not is_poison(error):
                raise
            for place, single in events.items():
                try:
                    append([single])
                except Exception as own_error:
                    if not is_poison(own_error):
                        raise
                    refused[place] = repr(own_error)
        return refused

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _use(self, deadline: float) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        try:
            connection = self._open()
            left = max(1, int((deadline - time.monotonic()) * 1000))
            connection.execute(f"PRAGMA busy_timeout={left}")
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            self.close()  # which rolls back
            raise

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            with contextlib.suppress(FileNotFoundError):
                if self.path.stat().st_ino == self._inode:
                    return self._connection
            self.close()  # the file was removed: what were written to it now would be lost
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA busy_timeout=1000")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.executescript(_TABLES)
            self.path.chmod(0o600)
            self._inode = self.path.stat().st_ino
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    @contextmanager
    def _replay_lock(self) -> Iterator[bool]:
        file = os.open(self.path.with_name(f"{self.path.name}-replay"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # closing is not enough: a child forked meanwhile holds the file, too
            os.close(file)
