"""Turns for the processes that write one SQLite file."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOK = 0.0005  # seconds between two looks at a lock that another process holds


class TurnTimeout(TimeoutError):  # noqa: N818
    """The turn did not come in time."""


class Turnstile:
    """Lets writers in by turns, between processes.

    SQLite's own busy handler only sleeps and tries again, so the process that has just written mostly writes again.
    Here a writer first waits to be the next and then for its turn, so the one that has just written finds another one
    before it. The locks are ``flock`` locks beside the database, which end with their process. They only make turns
    fair: it is SQLite's own lock that keeps a second writer out.
    """

    def __init__(self, database: Path) -> None:
        """Use lock files beside *database*."""
        self._paths = [database.with_name(f"{database.name}-{name}") for name in ("next", "turn")]
        self._files: list[int] = []

    @contextmanager
    def passed(self, deadline: float) -> Iterator[None]:
        """Hold the turn. Raises ``TurnTimeout`` when it does not come before *deadline* (``time.monotonic``)."""
        if not all(map(is_at, self._files, self._paths)):  # removed or replaced: others wait at other files
            self.close()
        if not self._files:
            self._files = [
                os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600) for path in self._paths
            ]
        following, turn = self._files
        _lock(following, deadline)
        try:
            _lock(turn, deadline)
        finally:
            fcntl.flock(following, fcntl.LOCK_UN)
        try:
            yield
        finally:
            if self._files:  # closed files hold no locks
                fcntl.flock(turn, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the lock files, which gives up the turn."""
        for file in self._files:
            os.close(file)
        self._files = []


def is_at(file: int, path: Path) -> bool:
    """Tell whether the open *file* is still the one at *path*."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _lock(file: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TurnTimeout("another process holds the write lock of the SQLite file") from None
            time.sleep(LOOK)
        else:
            return
