"""Events that come too often to store each: the first few of a key are let through, the others are counted."""

import threading
from collections.abc import Hashable
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Generic, TypeVar

RECORDED = 10  # events of a key within a window that are let through
KEYS = 10_000  # keys that are told apart; all others share one

K = TypeVar("K", bound=Hashable)

Flooded = tuple[K | None, int, datetime, datetime]  # a key, how many were counted, when the first and the last were


class _Window:
    __slots__ = ("began", "count", "first", "last", "let_through")

    def __init__(self, began: datetime) -> None:
        self.began = self.first = self.last = began
        self.let_through = self.count = 0


class Flood(Generic[K]):
    """Counts in memory, for any number of threads. A key's window begins with its first event.

    The keys are bounded: further ones are counted together, as the key None.
    """

    def __init__(self, window: timedelta, *, recorded: int = RECORDED, keys: int = KEYS) -> None:
        """Let through *recorded* events of a key in each *window*; tell so many *keys* apart."""
        self._window = window
        self._recorded = recorded
        self._keys = keys
        self._lock = threading.Lock()
        self._windows: dict[K | None, _Window] = {}  # in the order in which they began

    def admit(self, key: K, now: datetime) -> bool:
        """Tell whether this event of *key* is to be stored; else it is counted, until ``take_due``."""
        with self._lock:
            known = key if key in self._windows or len(self._windows) < self._keys else None
            window = self._windows.setdefault(known, _Window(now))
            if window.let_through < self._recorded:
                window.let_through += 1
                return True
            window.first = window.first if window.count else now
            window.last = now
            window.count += 1
            return False

    def take_due(self, now: datetime) -> list[Flooded[K]]:
        """End the windows whose time is over, and return what was counted in them, for the only time.

        Each key comes with its count, and the times of the first and the last that was counted. Windows end
        here only: the user of this class calls it now and then.
        """
        with self._lock:
            over = list(takewhile(lambda item: item[1].began + self._window <= now, self._windows.items()))
            for key, _ in over:
                del self._windows[key]
        return [(key, window.count, window.first, window.last) for key, window in over if window.count]
