"""A text file that gets a line for each login, ``name*time*address``, beside the trail."""

import contextlib
import logging
import os
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from pathlib import Path

from audit_service.events.logins import NewLogin
from audit_service.vocabulary import Action, Outcome

logger = logging.getLogger("audit_service")

SEPARATOR = "*"
_TIME = "%Y-%m-%d %H:%M:%S.%f"


def line_of(event: NewLogin) -> str:
    """Return the line of a login, its time as the system's clock shows it. A name is one line: see ``text.clean``."""
    time = event.timestamp.astimezone().strftime(_TIME)
    return f"{event.username}{SEPARATOR}{time}{SEPARATOR}{event.remote_addr}"


class LoginLog:
    """The file. It is opened anew when it was moved away, as by logrotate; threads and processes may share it."""

    def __init__(self, path: Path) -> None:
        """*path* is opened with the first line. A file that is made is for its owner only."""
        self._path = path
        self._file = _LineFile(path, encoding="utf-8", delay=True)
        self._fault = ""

    def write(self, event: NewLogin) -> None:
        """Append the line of *event* if it is a login that succeeded.

        A file that cannot be written is warned of, once until it can be.
        """
        if (event.action, event.outcome) != (Action.LOGIN, Outcome.SUCCESS):
            return
        line = logging.LogRecord("login", logging.INFO, "", 0, line_of(event), None, None)
        try:
            self._file.handle(line)
        except OSError as error:
            if self._fault != str(error):
                logger.warning(
                    "AUDIT_LOGIN_LOG: %s cannot be written; only the trail has the logins: %s", self._path, error
                )
            self._fault = str(error)
        else:
            self._fault = ""

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        with contextlib.suppress(OSError):  # of a line that was warned of
            self._file.close()
        self._file = _LineFile(self._path, encoding="utf-8", delay=True)


class _LineFile(WatchedFileHandler):
    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, opener=_open_private)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - called while the error is handled
        raise  # noqa: PLE0704


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK, 0o600)  # a pipe that nobody reads is an error, not a wait
