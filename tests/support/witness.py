"""A witness as its users start it: a process of its own, real HTTP."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from audit_service.proofs.keys import VerifierKey, parse_verifier
from tests.support.postgres import free_port
from tests.support.server import START_TIMEOUT, environment

NAME = "witness.example.org/audit"


@dataclass
class Witness:
    """A witness that can be stopped, and started again with what it remembers."""

    folder: Path
    logs: list[VerifierKey]
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[str] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def key(self) -> VerifierKey:
        return parse_verifier(next(line.strip() for line in self.said if "+" in line))

    def start(self) -> None:
        policy = self.folder / "logs.policy"
        policy.write_text("".join(f"log {key}\n" for key in self.logs) + "quorum none\n")
        command = [sys.executable, "-m", "audit_service.cli", "witness", "--listen", f"127.0.0.1:{self.port}"]
        command += ["--key-file", str(self.folder / "key"), "--name", NAME, "--policy", str(policy)]
        command += ["--state", str(self.state)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=environment({}), stdout=pipe, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout
        self.said = []
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith("serving"):
                break
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{self.url}/", timeout=5)
                return
            assert self.process.poll() is None, "the witness ended"
            assert time.monotonic() < deadline, "the witness does not answer"
            time.sleep(0.02)

    def stop(self, signum: int = signal.SIGTERM) -> None:
        if self.process is None:
            return
        self.process.send_signal(signum)
        self.process.wait(20)
        self.process.stdout.close()  # type: ignore[union-attr]
        self.process = None
        # The worker of one that was killed ends by itself.
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                httpx.get(f"{self.url}/", timeout=5)
            except httpx.TransportError:
                return
            assert time.monotonic() < deadline, "the worker of the witness does not end"
            time.sleep(0.02)


@contextlib.contextmanager
def running_witness(folder: Path, *logs: VerifierKey) -> Iterator[Witness]:
    folder.mkdir()
    witness = Witness(folder, list(logs))
    try:
        witness.start()
        yield witness
    finally:
        witness.stop()
