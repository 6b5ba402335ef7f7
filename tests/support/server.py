"""The service as its users start it: processes of its own, real HTTP."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support import plain_http
from tests.support.postgres import free_port

START_TIMEOUT = 30  # seconds


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """The machine's environment with these ``AUDIT_*`` settings and no others."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AUDIT_")}
    return {**inherited, **{name: str(value) for name, value in settings.items()}}


def wait_until_up(url: str, process: "subprocess.Popen[str]", timeout: float = START_TIMEOUT) -> None:
    """Wait until the service answers; *timeout* is in seconds."""
    deadline = time.monotonic() + timeout
    while True:
        with contextlib.suppress(httpx.TransportError):
            if plain_http.get(f"{url}/healthz").is_success:
                return
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server does not answer"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())  # of a zombie it is empty
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass
class Service:
    """A started service."""

    url: str
    process: "subprocess.Popen[str]"
    killed_by: int = 0

    def kill(self, signum: int) -> None:
        """End the main process by a signal that it cannot hear, and leave its workers alone."""
        self.killed_by = signum
        self.process.send_signal(signum)
        self.process.wait(timeout=10)

    def workers(self) -> list[int]:
        """The process ids of the workers that live."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()  # any thread of granian's may have made the worker
        children = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
        return [pid for pid in children if is_alive(pid)]


@contextlib.contextmanager
def started_service(settings: Mapping[str, object]) -> Iterator[Service]:
    """Run ``audit-service serve``, with one worker and without a signer unless *settings* say otherwise.

    End it with SIGTERM, unless it was killed, and expect all of it to go quietly.
    """
    settings = {"AUDIT_PORT": free_port(), "AUDIT_WORKERS": 1, "AUDIT_SIGNER": "off", **settings}
    command = [sys.executable, "-m", "audit_service.cli", "serve"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, env=environment(settings), stdout=pipe, stderr=subprocess.STDOUT, text=True)
    service = Service(f"http://127.0.0.1:{settings['AUDIT_PORT']}", process)
    try:
        wait_until_up(service.url, process)
        yield service
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            output, _ = process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == -service.killed_by, output
    assert "Traceback" not in output, output


@contextlib.contextmanager
def running_service(settings: Mapping[str, object]) -> Iterator[str]:
    """Like ``started_service``, for those who need the URL only."""
    with started_service(settings) as service:
        yield service.url
