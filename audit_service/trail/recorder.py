"""Takes events and answers when they are durable; starts and stops the threads of a process that store them.

Each process has one thread that writes (see ``writer``) and one that looks after the database and the spool (see
``keeper``).
"""

import atexit
import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

from sqlalchemy.engine import URL

from audit_service.errors import AuditUnavailable, IdTakenError
from audit_service.events.base import NewEvent
from audit_service.trail.counters import Counters
from audit_service.trail.identity import Identity
from audit_service.trail.keeper import Keeper, first_line
from audit_service.trail.link import Link
from audit_service.trail.lists import Lists
from audit_service.trail.spool import Spool
from audit_service.trail.writer import StoppedError, Writer

LIST_TIMEOUTS = 3  # times the write timeout: the longest that a list may take once it has its turn

_recorders: weakref.WeakSet["Recorder"] = weakref.WeakSet()


def _renew_locks() -> None:
    """In a forked child: another thread of the parent may have held the lock, and does not exist here."""
    for recorder in _recorders:
        recorder._start_lock = threading.Lock()  # noqa: SLF001 - of this module


os.register_at_fork(after_in_child=_renew_locks)


class Recorder:
    """Takes events and answers when they are durable.

    It has connections of its own, so a request's rollback does not take the audit row along, and the request's broken
    session does not keep an event out.
    """

    def __init__(
        self,
        url: URL,
        *,
        spool_path: Path | None = None,
        timeout: float = 2.0,
        queue_limit: int = 1000,
    ) -> None:
        """Write to the database at *url*; with *spool_path*, to that file while the database is away.

        *timeout* is in seconds and bounds all that one event waits for. More than *queue_limit* waiting events are
        refused. Threads start with the first event, so the recorder may be made before a fork.
        """
        self.url = url
        self.spool_path = spool_path
        self.timeout = timeout
        self.queue_limit = queue_limit
        self.identity = Identity(url)
        self._chores: list[Callable[[], object]] = []
        self._stop_jobs: list[Callable[[], object]] = []
        self._start_lock = threading.Lock()
        _recorders.add(self)
        self._process: int | None = None
        self._reset()

    def record(self, event: NewEvent) -> UUID:
        """Store *event* and return its id once it is durable, in the trail or in the spool.

        Raises ``AuditUnavailable`` if it is not, or not in time. It may then still turn up in the trail: an answer of
        the database that came too late does not undo what was stored. Raises ``IdTakenError`` if another event has its
        id.
        """
        if self._write((event,)):
            raise IdTakenError([0])
        return event.id

    def record_all(self, events: Sequence[NewEvent]) -> None:
        """Store *events*, in their order; return once all are durable.

        Raises ``AuditUnavailable`` if not all are, or not in time; some may be. With the same ids the caller may try
        again: what is stored already is not stored twice. Raises ``IdTakenError`` for those whose id another event
        has, when all others are durable; and ``BusyError`` if too many other lists are waiting. A list waits for its
        turn as long as one event may take, and then takes ``LIST_TIMEOUTS`` times as long at most.
        """
        self._start_for(events)
        if len(events) == 1:
            self.record(events[0])
            return
        taken: list[int] = []
        with self._lists.turn(self.timeout):
            last = time.monotonic() + self.timeout * LIST_TIMEOUTS
            for start in range(0, len(events), self._lists.part):
                end = start + self._lists.part
                try:
                    taken += [start + place for place in self._write(events[start:end], last)]
                except AuditUnavailable:
                    for event in events[end:]:
                        self._writer.refuse(event, "an earlier part of its list could not be stored")
                    raise
        if taken:
            raise IdTakenError(taken)

    def record_in_spool(self, events: Sequence[NewEvent]) -> None:
        """Store *events* in the spool at once, within the write timeout: the caller has found the database away.

        Raises ``AuditUnavailable``; then none of them is stored.
        """
        self._start_for(events)
        error: Exception = AuditUnavailable("the database is away, and AUDIT_SPOOL is off")
        if spool := self._spool():  # of this thread's own
            try:
                with contextlib.closing(spool):
                    spool.add(events, time.monotonic() + self.timeout)
            except Exception as spool_error:  # noqa: BLE001 - whatever keeps the spool from storing
                error = spool_error
            else:
                self._writer.count_spooled(len(events))
                return
        for event in events:
            self._writer.refuse(event, f"{type(error).__name__}: {first_line(error)}")
        raise AuditUnavailable(f"the event could not be stored: {first_line(error)}") from error

    def at_stop(self, job: Callable[[], object]) -> None:
        """Let *job* be done as the recorder stops; what it records is stored. It raises nothing."""
        self._stop_jobs.append(job)

    def start(self) -> None:
        """Start the threads of this process, if they do not run. What a fork left behind is not used."""
        if self.is_running():
            return
        with self._start_lock:
            if not self.is_running():
                self._reset()
                try:
                    for name, run in (("writer", self._writer.run), ("keeper", self._keeper.run)):
                        threading.Thread(target=run, name=f"audit-{name}", daemon=True).start()
                except RuntimeError as error:  # no more threads: the next event tries again
                    raise AuditUnavailable("the threads of the recorder cannot be started") from error
                self._process = os.getpid()
                atexit.register(self.stop)

    def stop(self) -> None:
        """Store what is queued and end the threads. The next event starts them again."""
        with self._start_lock:
            if not self.is_running():
                return
            for job in self._stop_jobs:
                job()
            self._process = None  # an event that comes from now on waits for our lock, and starts new threads
            self._writer.stop()
            self._keeper.stop()
            atexit.unregister(self.stop)

    def add_chore(self, job: Callable[[], object]) -> None:
        """Let *job* be done every few seconds, in a thread apart, while the database is there; another if it fails."""
        self._chores.append(job)

    def is_running(self) -> bool:
        """Tell whether the threads of this process have been started, and not been stopped."""
        return self._process == os.getpid()

    def is_up(self) -> bool:
        """Tell whether the trail itself takes events, as far as is known; else they go to the spool."""
        return self._keeper.is_up(self.timeout)

    def queue_length(self) -> int:
        """Return how many events wait in this process."""
        return self._writer.queue_length()

    def _start_for(self, events: Sequence[NewEvent]) -> None:
        """Start the threads; refuse *events* if they cannot be started."""
        try:
            self.start()
        except AuditUnavailable as error:
            for event in events:
                self._writer.refuse(event, str(error))
            raise

    def _write(self, events: Sequence[NewEvent], last: float = float("inf")) -> list[int]:
        """Let the writer store *events*, before *last* (``time.monotonic``); a new one if it was stopped meanwhile."""
        while True:
            self._start_for(events)
            try:
                return self._writer.write(events, min(last, time.monotonic() + self.timeout))
            except StoppedError:
                continue

    def _reset(self) -> None:
        self.counters = Counters()
        self._lists = Lists(self.queue_limit)
        self._keeper = Keeper(self._link(), self._spool(), self.timeout, self.counters, self._chores)
        self._writer = Writer(
            self._link(),
            self._spool(),
            self._keeper,
            self.counters,
            timeout=self.timeout,
            queue_limit=self.queue_limit,
        )

    def _link(self) -> Link:
        return Link(self.url, self.timeout, self.identity)

    def _spool(self) -> Spool | None:
        return Spool(self.spool_path, self.identity) if self.spool_path else None
