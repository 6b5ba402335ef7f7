"""The hook: a command of the operator's that takes checkpoints on its standard input."""

import os
import selectors
import shlex
import signal
import subprocess
import threading
import time
from contextlib import suppress
from typing import IO

from audit_service.errors import PublishError
from audit_service.proving.confirmations import Confirmation
from audit_service.signing.outlet import Offer

NAME = "hook"
TIME_LIMIT = 60.0  # seconds
_LOOK = 0.2  # seconds between two looks at whether it has ended, or the signer ends
_TAIL = 2000  # bytes of its standard error that are told


class Hook:
    """Runs a command, without a shell."""

    name = NAME
    is_asked_at_start = False
    is_repeated = True

    def __init__(self, command: str, interval: float, time_limit: float = TIME_LIMIT) -> None:
        """Split *command* as a shell does. Raises ``PublishError`` for quotes that are not closed."""
        self.interval, self._time_limit = interval, time_limit
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise PublishError(f"AUDIT_CHECKPOINT_HOOK is no command: {error}") from None
        if not self._words:
            raise PublishError("AUDIT_CHECKPOINT_HOOK is no command: it is empty")

    def take(self, offer: Offer, last: Confirmation | None, stopping: threading.Event) -> None:  # noqa: ARG002
        """Run the command, and raise ``PublishError`` with the end of what it says unless its exit status is 0."""
        try:
            process = subprocess.Popen(  # noqa: S603 - that is what the setting is for
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise PublishError(f"{self._words[0]!r} cannot be run: {error.strerror}") from None
        with process:
            assert process.stdin  # noqa: S101 - and
            assert process.stderr  # noqa: S101 - for mypy
            with suppress(BrokenPipeError):  # it need not read; a pipe has more room than a note needs
                process.stdin.write(offer.note)
                process.stdin.close()
            said = _read_until_end(process, process.stderr, time.monotonic() + self._time_limit, stopping)
            if process.poll() is None:
                _kill_group(process)
                why = "the signer ends" if stopping.is_set() else f"it has run for {self._time_limit:g} s"
                raise PublishError(f"{self._words[0]!r} was killed: {why}{said}")
        if process.returncode:
            raise PublishError(f"{self._words[0]!r} has ended with status {process.returncode}{said}")


def _read_until_end(
    process: "subprocess.Popen[bytes]", pipe: IO[bytes], deadline: float, stopping: threading.Event
) -> str:
    """Wait until the process ends, and return the end of what it has said. What it leaves running is not waited for."""
    tail = b""
    os.set_blocking(pipe.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        is_open = True
        while not stopping.is_set() and time.monotonic() < deadline:
            has_ended = process.poll() is not None  # before the last look, so that nothing said is lost
            if is_open and selector.select(0 if has_ended else _LOOK):
                data = os.read(pipe.fileno(), 65_536)
                tail = (tail + data)[-_TAIL:]
                is_open = bool(data)
            elif has_ended:
                break
            elif not is_open:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK)
    said = tail.decode(errors="replace").strip()
    return f": {said}" if said else ""


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
