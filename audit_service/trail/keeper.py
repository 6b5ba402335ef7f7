"""The thread that looks for a lost database, and moves what waits in the spool into the trail when it is back."""

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import DataError, IntegrityError, StatementError

from audit_service.errors import IdTakenError
from audit_service.events import NewEvent
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
        chore: Callable[[], object] | None = None,
    ) -> None:
        """Use a *link* and a *spool* of its own; *timeout*, in seconds, bounds each look and each batch.

        The *chore* is done every few seconds while the database is there.
        """
        self._link = link
        self._spool = spool
        self._timeout = timeout
        self._counters = counters
        self._chore = chore
        self._next_chore = 0.0
        self._is_up = threading.Event()
        self._was_lost = False
        self._last_message = ""
        self._stopping = threading.Event()
        self._ended = threading.Event()

    def is_up(self, wait: float) -> bool:
        """Tell whether the database can be written to. At the start, wait at most *wait* seconds for the first look."""
        return self._is_up.wait(0 if self._was_lost else max(0.0, wait))

    def lose(self, error: Exception) -> None:
        """Take note that the database is away."""
        self._was_lost = True
        self._is_up.clear()
        logger.warning("the audit trail's database is away: %s: %s", type(error).__name__, first_line(error))

    def run(self) -> None:
        """Look once a second while the database is away or something waits in the spool, until ``stop``."""
        while not self._stopping.is_set():
            try:
                if not self._is_up.is_set() or (self._spool and self._spool.state().length):
                    self._look()
            except Exception as error:  # noqa: BLE001 - it is away, or the spool is: the next look is in a second
                self._was_lost = True
                self._log_once("the audit trail cannot be written, or its spool not read", error)
            self._do_chore()
            self._link.close()
            self._stopping.wait(PROBE_INTERVAL)
        if self._spool:
            self._spool.close()
        self._ended.set()

    def stop(self) -> None:
        """End the thread; wait until it has, no longer than a look takes."""
        self._stopping.set()
        self._ended.wait(self._timeout + 1)

    def _log_once(self, what: str, error: Exception) -> None:
        message = f"{what}: {type(error).__name__}: {first_line(error)}"
        if message != self._last_message:
            logger.warning(message)
        self._last_message = message

    def _do_chore(self) -> None:
        if self._chore is None or not self._is_up.is_set() or time.monotonic() < self._next_chore:
            return
        self._next_chore = time.monotonic() + CHORE_INTERVAL
        try:
            self._chore()
        except Exception as error:  # noqa: BLE001 - the next one is in a few seconds
            self._log_once("a chore failed", error)

    def _look(self) -> None:
        self._link.probe(time.monotonic() + self._timeout)
        if self._was_lost:
            logger.warning("the audit trail's database is back")
            self._last_message = ""
        self._was_lost = False
        self._is_up.set()
        if self._spool:
            for count in self._spool.replay(self._append, is_poison):
                self._counters.replayed += count

    def _append(self, events: list[NewEvent]) -> None:
        self._link.append(events, time.monotonic() + self._timeout)


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
