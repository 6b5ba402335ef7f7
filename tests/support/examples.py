"""An example of ``examples/``, started as its README says."""

import contextlib
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.postgres import free_port
from tests.support.server import START_TIMEOUT, environment

PROJECT = Path(__file__).parents[2]


def commands(document: Path) -> list[str]:
    """The commands of a document, in their order: the lines of its ``sh`` blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", document.read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@dataclass
class Example:
    """A running example."""

    url: str
    output: Path

    def lines(self) -> list[str]:
        """What it has printed."""
        return self.output.read_text().splitlines()

    def lines_until(self, last: str, after: int) -> list[str]:
        """Wait until a line that begins with *last* is printed, then return the lines from number *after* on."""
        deadline = time.monotonic() + START_TIMEOUT
        while not (lines := self.lines()[after:]) or not lines[-1].startswith(last):
            assert time.monotonic() < deadline, lines
            time.sleep(0.01)
        return lines


@contextlib.contextmanager
def started_example(command: str, folder: Path, output: Path, settings: Mapping[str, object]) -> Iterator[Example]:
    """Run *command*, a ``flask … --port N``, in *folder* at a free port; what it prints goes to the file *output*."""
    port = free_port()
    words = shlex.split(re.sub(r"--port \d+", f"--port {port}", command))
    assert words[0] == "flask"
    assert str(port) in words
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=folder,
            env=environment(settings),
            stdout=file,
            stderr=subprocess.DEVNULL,
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield Example(f"http://127.0.0.1:{port}", output)
    finally:
        process.terminate()
        process.wait(timeout=10)
