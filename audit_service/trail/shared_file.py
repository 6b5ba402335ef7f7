"""A trail in a SQLite file that the app itself writes to: a view that has not committed keeps its own event out."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

logger = logging.getLogger("audit_service")

_NOT_THE_APPS = ("audit_service", "blinker", "contextlib")


class SharedFile:
    """Says once in a process that an event had to wait for the app's own file, and which line to move."""

    def __init__(self, path: Path, patience: float) -> None:
        """Watch the waits for the file at *path*; those of *patience* seconds and more are said."""
        self.path = path
        self._patience = patience
        self._is_said = False

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Watch the recording of an event."""
        started = time.monotonic()
        try:
            yield
        finally:
            waited = time.monotonic() - started
            if waited >= self._patience and not self._is_said:
                self._is_said = True
                logger.error(
                    "an event has waited %.1f s for the SQLite file %s, which the app has locked: a view that has "
                    "written must commit before it sends the signal. Move %s below the commit, or keep the trail in "
                    "a file of its own: LoginAudit(app) without url, and without AUDIT_DATABASE_URL",
                    waited,
                    self.path,
                    _line_of_the_app(sys._getframe()),  # noqa: SLF001 - documented
                )


def _line_of_the_app(frame: FrameType | None) -> str:
    """Return the file and the line of the app's own code that has led to *frame*."""
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] in _NOT_THE_APPS:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "it"
