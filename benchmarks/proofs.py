"""``make bench-proofs``: what the log costs: bytes, the take-in of a trail, verifying, a proof, and what logins feel.

The commands run as users run them, each in a process of its own, whose time and memory are those that the system tells.
Logins with and without the signer are measured in turns. Trust the ratios.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import click
import httpx
import psycopg
from sqlalchemy.orm import Session

from audit_service.access.tokens import add_token
from audit_service.settings.table import Settings
from audit_service.storage.database import make_engine, sqlite_path
from audit_service.trail.recorder import Recorder
from audit_service.vocabulary import Scope
from benchmarks.logins import SCRIPT, load, served
from benchmarks.made_history import fill_postgresql, fill_sqlite
from tests.factories import LoginFactory
from tests.support.accounts import ACTOR
from tests.support.apps import SECRET_KEY
from tests.support.databases import migrated
from tests.support.postgres import private_postgres
from tests.support.server import environment, started_service

TABLES = ("login_events", "trail_leaves", "trail_tiles")
RATE = 1000  # logins a second beside which the signer works
PROOFS = 300


class Trail:
    """A database with its data folder, and the commands on it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.settings = {"AUDIT_DATABASE_URL": url, "AUDIT_DATA_DIR": str(folder), "AUDIT_SECRET_KEY": SECRET_KEY}

    def run(self, *arguments: str) -> dict[str, float]:
        """Run a command; return seconds, seconds of CPU, and MB of its largest process."""
        before = time.perf_counter()
        command = [sys.executable, "-m", "audit_service.cli", *arguments]
        process = subprocess.Popen(command, env=environment(self.settings), stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"{' '.join(arguments)} ended with {status}")
        cpu = used.ru_utime + used.ru_stime  # its own, and that of the processes that it has waited for
        return {"seconds": time.perf_counter() - before, "cpu": cpu, "mb": used.ru_maxrss / 1024}

    def key(self) -> str:
        command = [sys.executable, "-m", "audit_service.cli", "trail", "key"]
        return subprocess.check_output(command, env=environment(self.settings), text=True).strip()

    def sizes(self) -> dict[str, int]:
        """Return bytes of tables with their indexes; of SQLite those of the file."""
        if self.url.startswith("sqlite"):
            path = sqlite_path(Settings(database_url=self.url).url)
            return {"file": sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))}
        with psycopg.connect(self.url) as connection:
            query = "SELECT pg_total_relation_size(%s::regclass)"
            return {table: connection.execute(query, (table,)).fetchone()[0] for table in TABLES}  # type: ignore[index]


def measure_trail(trail: Trail, events: int) -> dict[str, Any]:
    """Take an existing trail in, verify it, bundle it, and verify the bundle."""
    found: dict[str, Any] = {"events": events, "before": trail.sizes()}
    found["take-in"] = trail.run("sign", "--once")
    found["after"] = trail.sizes()
    key, bundle = trail.key(), trail.folder / "bundle.tar"
    found["verify"] = trail.run("verify", "--vkey", key, "-j", "2")
    found["bundle"] = trail.run("bundle", str(bundle))
    found["bundle bytes"] = bundle.stat().st_size
    found["verify bundle"] = trail.run("verify", "--vkey", key, "-j", "2", str(bundle))
    bundle.unlink()
    found["event ms"], found["proof ms"] = time_reads(trail)
    return found


def time_reads(trail: Trail) -> tuple[list[float], list[float]]:
    """Return the ms of events that the API gives, from all over the trail, and in turns with them of their proofs."""
    engine = make_engine(Settings(database_url=trail.url).url, writes=True)
    with Session(engine) as session, session.begin():
        token = add_token(session, "bench", Scope.READ, by=ACTOR)
        last = session.connection().exec_driver_sql("SELECT max(seq) FROM login_events").scalar_one()
        ids = [
            session.connection()
            .exec_driver_sql(f"SELECT id FROM login_events WHERE seq = {1 + last * n // PROOFS}")
            .scalar()
            for n in range(PROOFS)
        ]
    engine.dispose()
    events: list[float] = []
    proofs: list[float] = []
    with started_service(trail.settings) as service, httpx.Client(base_url=service.url) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        for event_id in ids:
            for path, times in ((f"/api/logins/{event_id}", events), (f"/api/logins/{event_id}/proof", proofs)):
                started = time.perf_counter()
                client.get(path).raise_for_status()
                times.append((time.perf_counter() - started) * 1000)
    return events, proofs


def signer_share(trail: Trail, seconds: int) -> float:
    """Return the share of a core that the signer takes beside ``RATE`` logins a second."""
    recorder = Recorder(Settings(database_url=trail.url).url)
    events = LoginFactory.copies(RATE // 10)
    stopping = threading.Event()

    def log_in() -> None:
        due = time.monotonic()
        while not stopping.is_set():
            recorder.record_all(LoginFactory.copies(len(events)))
            due += 0.1
            stopping.wait(max(0.0, due - time.monotonic()))

    command = [sys.executable, "-m", "audit_service.cli", "sign"]
    process = subprocess.Popen(command, env=environment(trail.settings), stdout=subprocess.DEVNULL)
    thread = threading.Thread(target=log_in)
    try:
        thread.start()
        time.sleep(6)  # its start, and its first round
        before = cpu_seconds(process.pid)
        time.sleep(seconds)
        return (cpu_seconds(process.pid) - before) / seconds
    finally:
        stopping.set()
        thread.join()
        process.terminate()
        process.wait()
        recorder.stop()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_logins(url: Callable[[], str], folder: Path, rounds: int, seconds: int) -> list[dict[str, float]]:
    """Return logins a second, without and with a signer beside them, in turns."""
    script = folder / "login.lua"
    script.write_text(SCRIPT)
    found: list[dict[str, float]] = []
    for turn in range(rounds):
        found.append({})
        for name in ("without", "with") if turn % 2 else ("with", "without"):
            trail = Trail(url(), folder / f"data-{turn}-{name}")
            trail.settings["AUDIT_LOGIN"] = "passwordless"
            trail.run("sign", "--once")
            command = [sys.executable, "-m", "audit_service.cli", "sign"]
            signer = None
            if name == "with":
                signer = subprocess.Popen(command, env=environment(trail.settings), stdout=subprocess.DEVNULL)
            try:
                with served("audit_service.app:create_worker", trail.settings, 32) as (base, _workers):
                    load(base, 8, 2, script)  # warm up
                    result = load(base, 32, seconds, script)
            finally:
                if signer:
                    signer.terminate()
                    signer.wait()
            found[-1] |= {name: result["per_second"], f"{name}, p99 ms": result["p99_ms"]}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000, help="of the trails that are taken in and verified")
    parser.add_argument("--rounds", type=int, default=4, help="of logins with and without the signer")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--only", choices=["postgresql", "sqlite"])
    parser.add_argument("--json", type=Path, default=Path("benchmarks/proofs.json"))
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(private_postgres()).url()

        def database(name: str) -> str:
            if name == "sqlite":
                path = folder / f"{time.monotonic_ns()}.db"
                path.touch(0o600)
                return f"sqlite:///{path}"
            made = f"bench_{time.monotonic_ns()}"
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {made}".encode())
            return server.rsplit("/", 1)[0] + f"/{made}"

        for name, fill in (("postgresql", fill_postgresql), ("sqlite", fill_sqlite)):
            if arguments.only not in (None, name):
                continue
            trail = Trail(database(name), folder / f"data-{name}")
            with click.progressbar(length=arguments.events, label=f"filling {name}", file=sys.stderr) as bar:
                fill(trail.url, arguments.events, bar.update)
            results[name] = measure_trail(trail, arguments.events)
            results[name]["share"] = signer_share(Trail(migrated(database(name)), folder / f"share-{name}"), 20)
            results[name]["logins"] = measure_logins(
                partial(empty, database, name), folder, arguments.rounds, arguments.seconds
            )
            show(name, results[name])
    arguments.json.write_text(json.dumps(results, indent=1) + "\n")


def empty(database: Callable[[str], str], name: str) -> str:
    return migrated(database(name))


def show(name: str, found: dict[str, Any]) -> None:
    events = found["events"]
    click.echo(f"\n{name}, {events:,} events\n")
    for key in ("take-in", "verify", "bundle", "verify bundle"):
        click.echo(f"{key}: " + ", ".join(f"{value:,.0f} {unit}" for unit, value in found[key].items()))
    grown = {table: (found["after"][table] - found["before"][table]) / events for table in found["before"]}
    click.echo("bytes an event: " + ", ".join(f"{table} {size:.1f}" for table, size in grown.items()))
    click.echo(f"bytes of the bundle an event: {found['bundle bytes'] / events:.0f}")
    for what in ("event", "proof"):
        times = sorted(found[f"{what} ms"])
        click.echo(f"{what}: p50 {statistics.median(times):.1f} ms, p95 {times[len(times) * 95 // 100]:.1f} ms")
    click.echo(f"the signer beside {RATE} logins a second: {found['share']:.1%} of a core")
    ratios = [turn["with"] / turn["without"] for turn in found["logins"]]
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
    click.echo(f"logins with the signer, of those without: {statistics.median(ratios):.3f} ({spread})")


if __name__ == "__main__":
    main()
