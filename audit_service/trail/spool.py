"""The queue of events that wait, durably, while their trail is away. All processes of a machine share its file.

Each event waits for its own trail (see ``identity``), also when other services use the file. An object is used by one
thread of a process at a time (the recorder sees to that); between processes SQLite's locks order it.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from audit_service.events.base import NewEvent
from audit_service.events.kinds import KIND_NAMED, KIND_OF
from audit_service.storage.sqlite_file import MovedError
from audit_service.trail.identity import Identity
from audit_service.trail.spool_file import SpoolFile

BATCH = 500  # events that are replayed at once
CLAIM = 5000  # events that are marked at once

_UNMARKED = "trail IS NULL AND (target IS NULL OR target = :target)"


class SpoolState(NamedTuple):
    """What waits for our trail: how many events, for how many seconds the oldest; how many were rejected for good.

    And how many wait for other trails.
    """

    length: int
    oldest_age: float | None
    rejected: int
    foreign: int


class Foreign(NamedTuple):
    """What waits for another trail: its id, or None if only its address is known, how many, since when (Unix time)."""

    trail: UUID | None
    target: str | None
    length: int
    since: float


class Spool:
    """The queue. Its file is opened when it is first needed."""

    def __init__(self, path: Path, identity: Identity | None = None) -> None:
        """Keep the spool of the trail with that *identity* in *path*; its folder must exist when it is first used.

        Without an identity ``state`` counts all events as ours, and added ones belong to the first trail that replays.
        """
        self.path = path
        self._identity = identity
        self._file = SpoolFile(path)

    def add(self, events: Sequence[NewEvent], deadline: float) -> None:
        """Store *events* durably before *deadline* (``time.monotonic``). Raises ``sqlite3.Error`` or ``OSError``."""
        now = time.time()
        rows = [(KIND_OF[type(event)].name, msgspec.json.encode(event), now) for event in events]
        insert = "INSERT INTO events (kind, event, spooled_at, trail, target) VALUES (?, ?, ?, ?, ?)"
        for _attempt in range(2):
            with self._file.writing(deadline) as connection:
                ours = self._parameters(connection)
                connection.executemany(insert, [(*row, ours["trail"], ours["target"]) for row in rows])
            if self._file.is_there():
                return
        raise MovedError(f"{self.path} is moved or removed again and again")

    def state(self) -> SpoolState:
        """Tell what waits. Takes no lock that keeps others from writing, and does not make the file."""
        if not self.path.exists():
            return SpoolState(0, None, 0, 0)
        with self._file.reading() as connection:
            ours = self._parameters(connection)
            parts = ("1",) if self._identity is None else ("trail = :trail", _UNMARKED)

            def count(table: str, part: str) -> int:
                found: int = connection.execute(f"SELECT count(*) FROM {table} WHERE {part}", ours).fetchone()[0]  # noqa: S608 - ours
                return found

            length, rejected = (sum(count(table, part) for part in parts) for table in ("events", "rejected"))
            first = "SELECT spooled_at FROM events WHERE {} ORDER BY place LIMIT 1"
            oldest = [row[0] for part in parts for row in connection.execute(first.format(part), ours)]
            foreign = count("events", "1") - length
        return SpoolState(length, max(0.0, time.time() - min(oldest)) if oldest else None, rejected, foreign)

    def others(self) -> list[Foreign]:
        """Tell what waits for other trails, the longest wait first."""
        if not self.path.exists():
            return []
        with self._file.reading() as connection:
            are_theirs = f"NOT coalesce(trail = :trail, 0) AND NOT ({_UNMARKED})"
            groups = f"SELECT trail, target, count(*), min(spooled_at) FROM events WHERE {are_theirs} GROUP BY 1, 2"  # noqa: S608
            rows = connection.execute(f"{groups} ORDER BY 4", self._parameters(connection)).fetchall()
        return [Foreign(trail and UUID(trail), *rest) for trail, *rest in rows]

    def is_waiting(self) -> bool:
        """Tell whether something waits for our trail, however much waits for others."""
        if not self.path.exists():
            return False
        with self._file.reading() as connection:
            ours = self._parameters(connection)
            questions = [f"SELECT 1 FROM events WHERE {part} LIMIT 1" for part in ("trail = :trail", _UNMARKED)]  # noqa: S608
            return any(connection.execute(question, ours).fetchone() for question in questions)

    def learn(self) -> None:
        """Keep which trail is at our target, for processes that start while it is away. Makes the file."""
        if self._identity is None or self._identity.trail is None:
            return
        target, trail = self._identity.target, self._identity.trail.hex
        if self.path.exists():
            with self._file.reading() as connection:
                if _known(connection, target) == trail:
                    return
        with self._file.writing(time.monotonic() + 1) as connection:
            connection.execute("INSERT OR REPLACE INTO trails (target, trail) VALUES (?, ?)", (target, trail))

    def replay(
        self,
        append: Callable[[list[NewEvent]], None],
        is_poison: Callable[[Exception], bool],
        trail: UUID | None = None,
    ) -> Iterator[int]:
        """Move the events of *trail* into it with *append*, in order; yield how many after each batch.

        Events that know only our target are from then on its, too; a trail that has no identity gets these alone. An
        event leaves the spool only after *append* returned. If the process ends in between, the next replay appends it
        again under the same id, which changes nothing. An event for which *append* raises what *is_poison* says can
        never be stored is set aside in the table ``rejected``. One process at a time: others yield nothing.
        """
        if not self.path.exists():
            return
        with self._file.replay_lock() as is_ours:
            if is_ours and trail:
                self._claim(trail)
            part = "trail = :trail" if trail else _UNMARKED
            ours = {"trail": trail and trail.hex, "target": self._identity and self._identity.target}
            while is_ours:
                with self._file.reading() as connection:
                    rows = connection.execute(
                        f"SELECT place, kind, event FROM events WHERE {part} ORDER BY place LIMIT {BATCH}",  # noqa: S608
                        ours,
                    ).fetchall()
                if not rows:
                    return
                rejected = self._move(append, is_poison, rows)
                with self._file.writing(time.monotonic() + 1) as connection:
                    for place, error in rejected.items():
                        columns = "place, kind, event, spooled_at, trail, target"
                        connection.execute(
                            f"INSERT INTO rejected ({columns}, error) SELECT {columns}, ? FROM events WHERE place = ?",  # noqa: S608
                            (error[:500], place),
                        )
                    connection.executemany("DELETE FROM events WHERE place = ?", [(row[0],) for row in rows])
                yield len(rows) - len(rejected)

    def _claim(self, trail: UUID) -> None:
        """Mark the events that know only our target, a part at a time, so that ``add`` does not wait for long."""
        target = self._identity and self._identity.target
        some = f"SELECT place FROM events WHERE {_UNMARKED} LIMIT {CLAIM}"  # noqa: S608
        ours = {"trail": trail.hex, "target": target}
        while True:
            with self._file.reading() as connection:
                if not connection.execute(f"SELECT EXISTS ({some})", ours).fetchone()[0]:
                    return
            with self._file.writing(time.monotonic() + 1) as connection:
                connection.execute(f"UPDATE events SET trail = :trail WHERE place IN ({some})", ours)  # noqa: S608

    @staticmethod
    def _move(
        append: Callable[[list[NewEvent]], None],
        is_poison: Callable[[Exception], bool],
        rows: list[tuple[int, str, bytes]],
    ) -> dict[int, str]:
        """Append a batch; if one event spoils it, one by one. Return the errors of those that can never be stored."""
        events: dict[int, NewEvent] = {}
        rejected: dict[int, str] = {}
        for place, kind, event in rows:
            try:
                events[place] = msgspec.json.decode(event, type=KIND_NAMED[kind].new)
            except (KeyError, msgspec.DecodeError) as error:
                rejected[place] = repr(error)
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
                    rejected[place] = repr(own_error)
        return rejected

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _parameters(self, connection: sqlite3.Connection) -> dict[str, Any]:
        """What events are marked with: the trail as far as it is known, now or by an earlier process."""
        if self._identity is None:
            return {"trail": None, "target": None}
        trail = self._identity.trail.hex if self._identity.trail else _known(connection, self._identity.target)
        return {"trail": trail, "target": self._identity.target}


def _known(connection: sqlite3.Connection, target: str) -> str | None:
    row = connection.execute("SELECT trail FROM trails WHERE target = ?", (target,)).fetchone()
    return row and str(row[0])
