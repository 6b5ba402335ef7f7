"""The thread that looks for a lost database, and moves what waits in the spool into the trail when it is back."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from uuid import UUID

from sqlalchemy.exc import DataError, IntegrityError, StatementError

from audit_service.errors import IdTakenError
from audit_service.events.base import NewEvent
from audit_service.storage.outages import DATABASE_ERRORS, is_outage, is_unmigrated
from audit_service.trail.counters import Counters
from audit_service.trail.link import Link
from audit_service.trail.spool import Spool

logger = logging.getLogger("audit_service")

PROBE_INTERVAL = 1.0  # seconds between two looks
CHORE_INTERVAL = 5.0  # seconds between two chores


class Keeper:
    """Knows whether the database can be written to. The writer asks it, and tells it when it loses the database."""

    def __init__(
        self,
        link: Link,
        spool: Spool | None,
        timeout: float,
        counters: Counters,
        chores: Sequence[Callable[[], object]] = (),
    ) -> None:
        """Use a *link* and a *spool* of its own; *timeout*, in seconds, bounds each look and each batch.

        The *chores* are done every few seconds while the database is there.
        """
        self._link = link
        self._spool = spool
        self._timeout = timeout
        self._counters = counters
        self._chores = chores
        self._next_chores = 0.0
        self._is_up = threading.Event()
        self._changing = threading.Lock()  # the writer loses, this thread finds
        self._was_lost = False
        self._lost_at = 0.0
        self._before = (0, 0)
        self._messages: dict[str, str] = {}  # the last one of each thing that failed
        self.fault: str | None = None  # what is wrong with the database's revision, and the remedy
        self._stopping = threading.Event()
        self._ended = threading.Event()

    def is_up(self, wait: float) -> bool:
        """Tell whether the database can be written to. At the start, wait at most *wait* seconds for the first look."""
        return self._is_up.wait(0 if self._was_lost else max(0.0, wait))

    def lose(self, error: Exception) -> None:
        """Take note that the database is away. Says so once, until it is back."""
        with self._changing:
            self._is_up.clear()
            if self._was_lost:
                return
            self._was_lost = True
            self._lost_at = time.monotonic()
            self._before = (self._counters.spooled, self._counters.refused)
        if self.fault is None:  # else that is said already, with its remedy
            logger.warning("the audit trail's database is away: %s: %s", type(error).__name__, first_line(error))

    def run(self) -> None:
        """Look once a second while the database is away or something waits in the spool, until ``stop``."""
        while not self._stopping.is_set():
            self._look()
            self._empty_spool()
            self._do_chores()
            self._link.rest()
            self._stopping.wait(PROBE_INTERVAL)
        self._link.close()
        if self._spool:
            self._spool.close()
        self._ended.set()

    def stop(self) -> None:
        """End the thread; wait until it has, no longer than a look takes."""
        self._stopping.set()
        self._ended.wait(self._timeout + 1)

    def _log_once(self, what: str, error: Exception) -> None:
        message = f"{type(error).__name__}: {first_line(error)}"
        if message != self._messages.get(what):
            logger.warning("%s: %s", what, message)
        self._messages[what] = message

    def _look(self) -> None:
        """Look whether the database is there, if it is not known to be."""
        try:
            if self._link.is_there() and self._is_up.is_set():
                return
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look is in a second
            self.lose(error)
        else:
            self._probe()

    def _probe(self) -> UUID | None:
        """Ask the database whether the trail can be written to, and take note of it. Return which trail it is."""
        try:
            trail = self._link.probe(self._deadline())
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look is in a second
            if is_unmigrated(error):
                self._check_revision()
            self.lose(error)
            return None
        if not self._is_up.is_set():
            self._find()
            self._check_revision()  # only now: no event waits for it
        return trail

    def _check_revision(self) -> None:
        """Say what is wrong with the revision, once; the trail may work all the same."""
        with suppress(*DATABASE_ERRORS):  # the next probe tells of a lost database
            fault = self._link.revision_fault(self._deadline())
            if fault and fault != self.fault:
                logger.error("%s: %s", self._link.target, fault)
            self.fault = fault

    def _find(self) -> None:
        with self._changing:
            was_lost, self._was_lost = self._was_lost, False
            self._messages.clear()
            self._is_up.set()
        if was_lost:
            spooled, refused = self._before
            logger.warning(
                "the audit trail's database is back after %.1f s, in which %d events were spooled and %d refused",
                time.monotonic() - self._lost_at,
                self._counters.spooled - spooled,
                self._counters.refused - refused,
            )

    def _empty_spool(self) -> None:
        """Move what waits for this trail into it."""
        if self._spool is None or not self._is_up.is_set():
            return
        try:
            self._spool.learn()
            if not self._spool.is_waiting():
                return
            trail = self._probe()
            if self._is_up.is_set():
                for count in self._spool.replay(partial(self._append, trail), is_poison, trail):
                    self._counters.replayed += count
        except Exception as error:  # noqa: BLE001 - it stays in the spool, and the next look is in a second
            self._log_once("the spool cannot be emptied into the audit trail", error)

    def _append(self, trail: UUID | None, events: list[NewEvent]) -> None:
        self._link.append(events, self._deadline(), trail)

    def _do_chores(self) -> None:
        if not self._is_up.is_set() or time.monotonic() < self._next_chores:
            return
        self._next_chores = time.monotonic() + CHORE_INTERVAL
        for number, chore in enumerate(self._chores, 1):
            try:
                chore()
            except Exception as error:  # noqa: BLE001 - the next time is in a few seconds
                if is_outage(error):
                    self._probe()
                if self._is_up.is_set():
                    self._log_once(f"chore {number} of {len(self._chores)} failed", error)

    def _deadline(self) -> float:
        return time.monotonic() + self._timeout


def is_poison(error: Exception) -> bool:
    """Tell whether the error is the event's own fault: no database would ever store it."""
    if isinstance(error, IdTakenError):
        return True
    if isinstance(error, IntegrityError):  # a position that is taken is no event's fault, but a tampered trail_head's
        diagnosis = getattr(error.orig, "diag", None)  # PostgreSQL's message may hold what users typed, this does not
        return "seq" not in str(diagnosis.constraint_name if diagnosis else error.orig)
    cause = error.orig if isinstance(error, StatementError) else error
    return isinstance(error, DataError) or isinstance(cause, ValueError | TypeError | OverflowError)


def first_line(error: Exception) -> str:
    """Return the first line of the error's message."""
    return (str(error).splitlines() or [""])[0]
