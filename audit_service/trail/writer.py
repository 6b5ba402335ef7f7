"""The writer thread of a process: what waits in its queue is stored together, in time, or else goes to the spool.

It takes all that is queued, stores it in one transaction and wakes the callers. Under load the batches grow by
themselves.
"""

import contextlib
import logging
import os
import select
import sys
import threading
import time
from _thread import LockType, allocate_lock
from collections.abc import Sequence
from queue import Empty, SimpleQueue

import msgspec

from audit_service.errors import AuditUnavailable, IdTakenError, NotConfiguredError
from audit_service.events.base import NewEvent
from audit_service.trail.counters import Counters
from audit_service.trail.keeper import Keeper, first_line, is_poison
from audit_service.trail.link import Link
from audit_service.trail.spool import Spool

logger = logging.getLogger("audit_service")

BATCH_LIMIT = 500  # events in a transaction
SPOOL_SHARE = 0.25  # of the write timeout is kept for the spool, and added to it as the last word of ``write``


class StoppedError(Exception):
    """The writer takes no more events."""


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


class Writer:
    """The queue and the thread that empties it. Any number of threads may call ``write`` and ``refuse``."""

    def __init__(
        self, link: Link, spool: Spool | None, keeper: Keeper, counters: Counters, *, timeout: float, queue_limit: int
    ) -> None:
        """Use a *link* and a *spool* of its own; *keeper* knows whether the database is there.

        *timeout* is in seconds. More than *queue_limit* waiting events are refused.
        """
        self._link = link
        self._spool = spool
        self._keeper = keeper
        self._counters = counters
        self._counting = threading.Lock()  # callers refuse and spool, too
        self._timeout = timeout
        self._queue_limit = queue_limit
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._entry = threading.Lock()  # what is queued comes before the end of the queue, or not at all
        self._is_stopped = False
        self._ended = threading.Event()

    def write(self, events: Sequence[NewEvent], deadline: float) -> list[int]:
        """Store *events* before *deadline* (``time.monotonic``); return the places of those whose id another one has.

        Raises ``AuditUnavailable`` if not all others are stored, or not in time; some may be. Raises ``StoppedError``
        after ``stop``; then none is.
        """
        queue = self._queue
        if queue.qsize() + len(events) > self._queue_limit:
            for event in events:
                self.refuse(event, "AUDIT_QUEUE_LIMIT events are waiting already")
            raise AuditUnavailable("too many events are waiting to be stored (AUDIT_QUEUE_LIMIT)")
        waiting = [_Waiting(event, deadline) for event in events]
        with self._entry:
            if self._is_stopped:
                raise StoppedError
            for each in waiting:
                queue.put(each)
        last = deadline + self._timeout * SPOOL_SHARE
        for each in waiting:
            if not each.answered.acquire(timeout=max(0.0, last - time.monotonic())):
                self.refuse(each.event, "no answer in time")
                each.error = TimeoutError("AUDIT_WRITE_TIMEOUT is over")
        for each in waiting:
            if each.error is not None and not isinstance(each.error, IdTakenError):
                raise AuditUnavailable(f"the event could not be stored: {first_line(each.error)}") from each.error
        return [place for place, each in enumerate(waiting) if each.error is not None]

    def queue_length(self) -> int:
        """Return how many events wait."""
        return self._queue.qsize()

    def stop(self) -> None:
        """Store what is queued and end the thread; wait until it has, no longer than storing an event takes."""
        with self._entry:
            self._is_stopped = True
            self._queue.put(None)
        self._ended.wait(self._timeout * (1 + SPOOL_SHARE))

    def run(self) -> None:
        """Write until ``stop``: the life of the thread."""
        is_last = False
        while not is_last:
            batch, is_last = self._take()
            try:
                self._store(batch)
            except Exception as error:  # a fault of ours: the callers must hear of it, and the thread lives on
                logger.exception("the writer of the audit trail failed")
                self._answer(batch, error)
        self._link.close()
        if self._spool:
            self._spool.close()
        self._ended.set()

    def count_spooled(self, count: int) -> None:
        """Take note that *count* events are in the spool."""
        with self._counting:
            self._counters.spooled += count

    def refuse(self, event: NewEvent, reason: str) -> None:
        """Count the event as refused, and write it to stderr as one JSON line: the last resort, and no promise."""
        with self._counting:
            self._counters.refused += 1
        with contextlib.suppress(OSError, ValueError):  # there is no further resort
            line = msgspec.json.encode({"audit": "event not stored", "reason": reason, "event": event})
            file = sys.stderr.fileno()
            if select.select([], [file], [], 0)[1]:  # its reader may have stopped: a login does not wait for that
                os.write(file, line + b"\n")

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

    def _store(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        share = self._timeout * SPOOL_SHARE if self._spool else 0.0
        deadline = batch[0].deadline - share
        if self._keeper.is_up(deadline - time.monotonic()):
            try:
                self._append(batch, deadline)
            except Exception as error:  # noqa: BLE001 - whatever keeps the database from storing
                self._keeper.lose(error)
            else:
                return
        self._to_spool([waiting for waiting in batch if not waiting.is_answered])

    def _append(self, batch: list[_Waiting], deadline: float) -> None:
        taken: Sequence[int] = ()
        try:
            self._link.append([waiting.event for waiting in batch], deadline)
        except IdTakenError as error:
            taken = error.places
            self._answer([batch[place] for place in taken], error)
        except Exception as error:
            if not is_poison(error):
                raise
            if len(batch) == 1:
                self._answer(batch, error)
                self.refuse(batch[0].event, f"the database can never store this event: {type(error).__name__}")
                return
            for waiting in batch:  # one event spoils the batch: the others must not suffer
                self._append([waiting], deadline)
            return
        self._counters.count_batch(len(batch) - len(taken))
        self._answer(batch, None)

    def _to_spool(self, batch: list[_Waiting]) -> None:
        error: Exception = AuditUnavailable("the database is away, and AUDIT_SPOOL is off")
        if self._keeper.fault:
            error = NotConfiguredError(self._keeper.fault)
        if self._spool:
            try:
                self._spool.add([waiting.event for waiting in batch], batch[-1].deadline)
            except Exception as spool_error:  # noqa: BLE001 - whatever keeps the spool from storing
                error = spool_error
            else:
                self.count_spooled(len(batch))
                self._answer(batch, None)
                return
        if is_poison(error) and len(batch) > 1:  # one event that cannot be written down: the others must not suffer
            for waiting in batch:
                self._to_spool([waiting])
            return
        self._answer(batch, error)
        for waiting in batch:
            self.refuse(waiting.event, f"{type(error).__name__}: {first_line(error)}")

    @staticmethod
    def _answer(batch: list[_Waiting], error: Exception | None) -> None:
        for waiting in batch:
            if not waiting.is_answered:
                waiting.is_answered = True
                waiting.error = error
                waiting.answered.release()
