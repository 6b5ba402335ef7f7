"""The only door to the trail: group commit, deadlines, and the spool for when the database is away.

Each process has one writer thread. ``record`` puts its event into the queue and waits; the writer takes all that is
queued, stores it in one transaction and wakes the waiters. Under load the batches grow by themselves.
"""

import atexit
import contextlib
import logging
import os
import select
import sys
import threading
import time
import weakref
from _thread import LockType, allocate_lock
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.engine import URL

from audit_service.errors import AuditUnavailable, IdTakenError, NotConfiguredError
from audit_service.events import NewEvent
from audit_service.trail.counters import Counters
from audit_service.trail.identity import Identity
from audit_service.trail.keeper import Keeper, first_line, is_poison
from audit_service.trail.link import Link
from audit_service.trail.lists import Lists
from audit_service.trail.spool import Spool

logger = logging.getLogger("audit_service")

BATCH_LIMIT = 500  # events in a transaction
LIST_TIMEOUTS = 3  # times the write timeout: as long may a list take that has its turn
SPOOL_SHARE = 0.25  # of the write timeout is kept for the spool, and added to it as the last word of ``record``


class _Waiting:
    """An event in the queue. Its lock is released when there is an answer: nothing lighter wakes a thread."""

    __slots__ = ("answered", "deadline", "error", "event", "is_answered")

    def __init__(self, event: NewEvent, deadline: float) -> None:
        self.event = event
        self.deadline = deadline
        self.is_answered = False
        self.error: Exception | None = None
        self.answered: LockType = allocate_lock()
        self.answered.acquire()


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
        connect_args: Mapping[str, Any] | None = None,
        spool_path: Path | None = None,
        timeout: float = 2.0,
        queue_limit: int = 1000,
    ) -> None:
        """Write to the database at *url*; with *spool_path*, to that file while the database is away.

        *timeout* is in seconds and bounds all that one event waits for. More than *queue_limit* waiting events are
        refused. Threads start with the first event, so the recorder may be made before a fork.
        """
        self.url = url
        self.connect_args = connect_args
        self.spool_path = spool_path
        self.timeout = timeout
        self.queue_limit = queue_limit
        self.identity = Identity(url)
        self._chores: list[Callable[[], object]] = []
        self._farewells: list[Callable[[], object]] = []
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
        self.start()
        if self._record((event,), time.monotonic() + self.timeout):
            raise IdTakenError([0])
        return event.id

    def record_all(self, events: Sequence[NewEvent]) -> None:
        """Store *events*, in their order; return once all are durable.

        Raises ``AuditUnavailable`` if not all are, or not in time; some may be. Who gives them the same ids again may
        try again: what is stored already is not stored twice. Raises ``IdTakenError`` for those whose id another event
        has, when all others are durable; and ``BusyError`` if too many other lists are waiting. A list waits for its
        turn as long as one event may take, and then takes ``LIST_TIMEOUTS`` times as long at most.
        """
        self.start()
        if len(events) == 1:
            self.record(events[0])
            return
        taken: list[int] = []
        with self._lists.turn(self.timeout):
            last = time.monotonic() + self.timeout * LIST_TIMEOUTS
            for start in range(0, len(events), self._lists.part):
                end = start + self._lists.part
                try:
                    deadline = min(last, time.monotonic() + self.timeout)
                    taken += [start + place for place in self._record(events[start:end], deadline)]
                except AuditUnavailable:
                    for event in events[end:]:
                        self._refuse(event, "an earlier part of its list could not be stored")
                    raise
        if taken:
            raise IdTakenError(taken)

    def put_aside(self, events: Sequence[NewEvent]) -> None:
        """Store *events* in the spool at once, within the write timeout: who calls this found the database away.

        Raises ``AuditUnavailable``; then none of them is stored.
        """
        self.start()
        error: Exception = AuditUnavailable("the database is away, and AUDIT_SPOOL is off")
        if spool := self._spool():  # of this thread's own
            try:
                with contextlib.closing(spool):
                    spool.add(events, time.monotonic() + self.timeout)
            except Exception as spool_error:  # noqa: BLE001 - whatever keeps the spool from storing
                error = spool_error
            else:
                self._count_spooled(len(events))
                return
        for event in events:
            self._refuse(event, f"{type(error).__name__}: {first_line(error)}")
        raise AuditUnavailable(f"the event could not be stored: {first_line(error)}") from error

    def _record(self, events: Sequence[NewEvent], deadline: float) -> list[int]:
        """Hand *events* to the writer and wait; return the places of those whose id another event has."""
        queue = self._queue
        if queue.qsize() + len(events) > self.queue_limit:
            for event in events:
                self._refuse(event, "AUDIT_QUEUE_LIMIT events are waiting already")
            raise AuditUnavailable("too many events are waiting to be stored (AUDIT_QUEUE_LIMIT)")
        waiting = [_Waiting(event, deadline) for event in events]
        for each in waiting:
            queue.put(each)
        last = deadline + self.timeout * SPOOL_SHARE
        for each in waiting:
            if not each.answered.acquire(timeout=max(0.0, last - time.monotonic())):
                self._refuse(each.event, "no answer in time")
                each.error = TimeoutError("AUDIT_WRITE_TIMEOUT is over")
        for each in waiting:
            if each.error is not None and not isinstance(each.error, IdTakenError):
                raise AuditUnavailable(f"the event could not be stored: {first_line(each.error)}") from each.error
        return [place for place, each in enumerate(waiting) if each.error is not None]

    def add_farewell(self, job: Callable[[], object]) -> None:
        """Let *job* be done as the recorder stops; what it records is stored. It raises nothing."""
        self._farewells.append(job)

    def start(self) -> None:
        """Start the threads of this process, if they do not run. What a fork left behind is not used."""
        if self._process == os.getpid():
            return
        with self._start_lock:
            if self._process != os.getpid():
                self._reset()
                try:
                    for name, run in (("writer", self._write), ("keeper", self._keeper.run)):
                        threading.Thread(target=run, name=f"audit-{name}", daemon=True).start()
                except RuntimeError as error:  # no more threads: the next event tries again
                    raise AuditUnavailable("the threads of the recorder cannot be started") from error
                self._process = os.getpid()
                atexit.register(self.stop)

    def stop(self) -> None:
        """Store what is queued and end the threads. The next event starts them again."""
        with self._start_lock:
            if self._process != os.getpid():
                return
            for job in self._farewells:
                job()
            self._queue.put(None)
            self._writer_ended.wait(self.timeout * (1 + SPOOL_SHARE))
            self._keeper.stop()
            self._process = None
            atexit.unregister(self.stop)

    def add_chore(self, job: Callable[[], object]) -> None:
        """Let *job* be done every few seconds, in a thread apart, while the database is there; another if it fails."""
        self._chores.append(job)

    def is_up(self) -> bool:
        """Tell whether the trail itself takes events, as far as is known; else they go to the spool."""
        return self._keeper.is_up(self.timeout)

    def queue_length(self) -> int:
        """Return how many events wait in this process."""
        return self._queue.qsize()

    def _reset(self) -> None:
        self.counters = Counters()
        self._counting = threading.Lock()  # callers refuse and put aside, too
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._lists = Lists(self.queue_limit)
        self._writer_ended = threading.Event()
        self._keeper = Keeper(self._link(), self._spool(), self.timeout, self.counters, self._chores)

    def _link(self) -> Link:
        return Link(self.url, self.timeout, self.connect_args, self.identity)

    def _spool(self) -> Spool | None:
        return Spool(self.spool_path, self.identity) if self.spool_path else None

    def _write(self) -> None:
        """The writer thread."""
        link, spool = self._link(), self._spool()
        is_last = False
        while not is_last:
            batch, is_last = self._take()
            try:
                self._store(batch, link, spool)
            except Exception as error:  # a fault of ours: whoever waits must hear of it, and the thread lives on
                logger.exception("the writer of the audit trail failed")
                self._answer(batch, error)
        link.close()
        if spool:
            spool.close()
        self._writer_ended.set()

    def _take(self) -> tuple[list[_Waiting], bool]:
        """Take all that is queued, at most ``BATCH_LIMIT``; wait for the first. Tell whether it is the last batch."""
        waiting = self._queue.get()
        batch: list[_Waiting] = []
        while waiting is not None:
            batch.append(waiting)
            if len(batch) == BATCH_LIMIT:
                return batch, False
            try:
                waiting = self._queue.get_nowait()
            except Empty:
                return batch, False
        return batch, True

    def _store(self, batch: list[_Waiting], link: Link, spool: Spool | None) -> None:
        if not batch:
            return
        share = self.timeout * SPOOL_SHARE if spool else 0.0
        deadline = batch[0].deadline - share
        if self._keeper.is_up(deadline - time.monotonic()):
            try:
                self._append(batch, link, deadline)
            except Exception as error:  # noqa: BLE001 - whatever keeps the database from storing
                self._keeper.lose(error)
            else:
                return
        self._to_spool([waiting for waiting in batch if not waiting.is_answered], spool)

    def _append(self, batch: list[_Waiting], link: Link, deadline: float) -> None:
        taken: Sequence[int] = ()
        try:
            link.append([waiting.event for waiting in batch], deadline)
        except IdTakenError as error:
            taken = error.places
            self._answer([batch[place] for place in taken], error)
        except Exception as error:
            if not is_poison(error):
                raise
            if len(batch) == 1:
                self._answer(batch, error)
                self._refuse(batch[0].event, f"the database refuses this event: {type(error).__name__}")
                return
            for waiting in batch:  # one event spoils the batch: the others must not suffer
                self._append([waiting], link, deadline)
            return
        self.counters.count_batch(len(batch) - len(taken))
        self._answer(batch, None)

    def _to_spool(self, batch: list[_Waiting], spool: Spool | None) -> None:
        error: Exception = AuditUnavailable("the database is away, and AUDIT_SPOOL is off")
        if self._keeper.fault:
            error = NotConfiguredError(self._keeper.fault)
        if spool:
            try:
                spool.add([waiting.event for waiting in batch], batch[-1].deadline)
            except Exception as spool_error:  # noqa: BLE001 - whatever keeps the spool from storing
                error = spool_error
            else:
                self._count_spooled(len(batch))
                self._answer(batch, None)
                return
        if is_poison(error) and len(batch) > 1:  # one event that cannot be written down: the others must not suffer
            for waiting in batch:
                self._to_spool([waiting], spool)
            return
        self._answer(batch, error)
        for waiting in batch:
            self._refuse(waiting.event, f"{type(error).__name__}: {first_line(error)}")

    @staticmethod
    def _answer(batch: list[_Waiting], error: Exception | None) -> None:
        for waiting in batch:
            if not waiting.is_answered:
                waiting.is_answered = True
                waiting.error = error
                waiting.answered.release()

    def _count_spooled(self, count: int) -> None:
        with self._counting:
            self.counters.spooled += count

    def _refuse(self, event: NewEvent, reason: str) -> None:
        """Leave the event on stderr, as one JSON line: the last resort, and no promise."""
        with self._counting:
            self.counters.refused += 1
        with contextlib.suppress(OSError, ValueError):  # there is no further resort
            line = msgspec.json.encode({"audit": "event not stored", "reason": reason, "event": event})
            file = sys.stderr.fileno()
            if select.select([], [file], [], 0)[1]:  # whoever reads it may have stopped: nobody waits for that
                os.write(file, line + b"\n")
