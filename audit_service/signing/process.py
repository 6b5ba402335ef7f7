"""The signer as a child of ``serve``: started again when it ends by a fault, and ended with the service."""

import logging
import os
import subprocess
import sys
import threading

from audit_service.serving.parent import STOP_TIMEOUT

logger = logging.getLogger("audit_service.signer")

PAUSE = 5.0  # seconds before it is started again


class SignerProcess:
    """A process that runs ``audit-service sign``."""

    def __init__(self) -> None:
        """Start it."""
        self._stopping = threading.Event()
        self._process = self._start()
        self._watcher = threading.Thread(target=self._watch, name="audit-signer", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """End it in order; after ``STOP_TIMEOUT`` anyhow."""
        self._stopping.set()
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._watcher.join()

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "audit_service.cli", "sign", "--parent", str(os.getpid())]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - our own command

    def _watch(self) -> None:
        while not self._stopping.is_set():
            status = self._process.wait()
            if self._stopping.is_set():
                return
            logger.error("the signer has ended with status %d; it is started again in %d s", status, PAUSE)
            if not self._stopping.wait(PAUSE):
                self._process = self._start()
