"""Turns for lists of events, which go to the writer in parts: a single event waits for one part at most."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from audit_service.errors import BusyError

PART = 50  # events of a list that are handed to the writer at once
WAITING = 4  # lists that may wait for their turn: each keeps a thread of the server from taking logins


class Lists:
    """One list at a time in each process, a few that wait, and no more."""

    def __init__(self, queue_limit: int) -> None:
        """A part is at most half of *queue_limit*, the events that may wait in the process."""
        self.part = max(1, min(PART, queue_limit // 2))
        self._places = threading.BoundedSemaphore(1 + WAITING)
        self._turn = threading.Lock()

    @contextmanager
    def turn(self, timeout: float) -> Iterator[None]:
        """Hold the turn. Raises ``BusyError`` if too many wait, or if it does not come within *timeout* seconds."""
        if not self._places.acquire(blocking=False):
            raise BusyError(f"{WAITING} lists of events are waiting already")
        try:
            if not self._turn.acquire(timeout=timeout):
                raise BusyError("other lists of events took too long")
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self._places.release()
