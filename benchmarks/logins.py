"""``make bench``: logins per second, next to a bare Flask view, a line in a file and an ORM commit. Needs wrk.

All contestants run under the same server settings, one after another in each round, and the rounds are interleaved, so
that what else the machine does falls on all. Trust the ratios.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
import psycopg

from benchmarks.record import cost_of_record
from tests.support.apps import SECRET_KEY
from tests.support.databases import migrated
from tests.support.postgres import free_port, private_postgres
from tests.support.server import environment, wait_until_up

SCRIPT = """
wrk.method = "POST"
wrk.body = "username=ada"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
"""
OURS = "audit_service.app:create_worker"  # for RSGI, as `audit-service serve` has it
CONTESTANTS = {
    "bare view": ("benchmarks.contestants:bare", None),
    "our view, nothing stored": ("benchmarks.contestants:unrecorded", "sqlite"),
    "line in a file": ("benchmarks.contestants:file", None),
    "ORM commit, PostgreSQL": ("benchmarks.contestants:orm", "postgresql"),
    "ours, PostgreSQL": (OURS, "postgresql"),
    "ORM commit, SQLite": ("benchmarks.contestants:orm", "sqlite"),
    "ours, SQLite": (OURS, "sqlite"),
}


@contextmanager
def served(target: str, settings: dict[str, str], threads: int) -> Iterator[tuple[str, list[int]]]:
    """Serve *target* with granian, two workers; yield its URL and the workers' process ids."""
    port = free_port()
    command = [sys.executable, "-m", "granian", "--factory", "--workers", "2", "--no-ws", "--http", "1"]
    if target == OURS:
        command += ["--interface", "rsgi"]
        settings = {**settings, "AUDIT_THREADS": str(threads)}
    else:
        command += ["--interface", "wsgi", "--blocking-threads", str(threads)]
    command += ["--log-level", "error", "--port", str(port), target]
    process = subprocess.Popen(command, env=environment(settings), text=True)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_up(url, process)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield url, [int(child) for child in children]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def load(url: str, connections: int, seconds: int, script: Path) -> dict[str, float]:
    """Log in as fast as *connections* can."""
    command = ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "5s", "-s", str(script)]
    printed = subprocess.run([*command, f"{url}/login/"], capture_output=True, text=True, check=True).stdout
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", printed)
    timeouts = re.search(r"timeout (\d+)", printed)
    (value, unit) = re.search(r"99%\s+([\d.]+)(us|ms|s)", printed).groups()  # type: ignore[union-attr]
    return {
        "per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", printed).group(1)),  # type: ignore[union-attr]
        "p99_ms": float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit],
        "errors": float(errors.group(1) if errors else 0) + float(timeouts.group(1) if timeouts else 0),
    }


def resident(pids: list[int]) -> float:
    """The mean memory of the workers, in MB (RSS)."""
    sizes = [int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1)) for pid in pids]  # type: ignore[union-attr]
    return statistics.mean(sizes) / 1024


def kind_is_ours(target: str) -> bool:
    return target in (OURS, "benchmarks.contestants:unrecorded")


def environment_of(target: str, url: str, folder: Path) -> dict[str, str]:
    settings = {"BENCH_FILE": str(folder / "lines"), "BENCH_DATABASE_URL": url}
    if kind_is_ours(target):
        settings = {"AUDIT_DATABASE_URL": url, "AUDIT_SECRET_KEY": SECRET_KEY, "AUDIT_LOGIN": "passwordless"}
        settings["AUDIT_DATA_DIR"] = str(folder / "data")
    return settings


def prepare(target: str, kind: str | None, folder: Path, server: str) -> str:
    """Make an empty database; return its URL."""
    if kind is None:
        return ""
    url = f"sqlite:///{folder}/bench.db"
    if kind == "postgresql":
        name = f"bench_{time.monotonic_ns()}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        url = server.rsplit("/", 1)[0] + f"/{name}"
    return migrated(url) if kind_is_ours(target) else url


def measure(name: str, server: str, arguments: argparse.Namespace, script: Path) -> list[dict[str, Any]]:
    target, kind = CONTESTANTS[name]
    results = []
    folder = Path(tempfile.mkdtemp(prefix="audit-bench-", dir=arguments.folder))
    try:
        url = prepare(target, kind, folder, server)
        with served(target, environment_of(target, url, folder), arguments.threads) as (base, workers):
            load(base, 8, 1, script)  # warm up
            at_rest = resident(workers)
            for connections in arguments.connections:
                result = load(base, connections, arguments.seconds, script)
                results.append({"name": name, "connections": connections, "rest_mb": at_rest, **result})
                results[-1]["load_mb"] = resident(workers)
    finally:
        shutil.rmtree(folder)
    return results


def summarise(results: list[dict[str, Any]], connections: int) -> list[dict[str, Any]]:
    rows = []
    for name in CONTESTANTS:
        mine = [result for result in results if (result["name"], result["connections"]) == (name, connections)]
        row: dict[str, Any] = {
            key: statistics.median(result[key] for result in mine) for key in mine[0] if key != "name"
        }
        row["errors"] = sum(result["errors"] for result in mine)
        rows.append({**row, "name": name})
    by_name = {row["name"]: row["per_second"] for row in rows}
    for row in rows:
        row["of_bare"] = row["per_second"] / by_name["bare view"]
        orm = next((other for other in by_name if other.startswith("ORM") and row["name"].endswith(other[10:])), None)
        row["of_orm"] = row["per_second"] / by_name[orm] if orm else None
    return rows


def show(rows: list[dict[str, Any]], connections: int) -> None:
    click.echo(f"\n{connections} connections\n")
    click.echo(
        "| contestant | logins/s | of the bare view | of the ORM form | p99 ms | errors | MB at rest | MB under load |"
    )
    click.echo("|---|---|---|---|---|---|---|---|")
    for row in rows:
        of_orm = f"{row['of_orm']:.1f}" if row["of_orm"] else ""
        click.echo(
            f"| {row['name']} | {row['per_second']:,.0f} | {row['of_bare']:.2f} | {of_orm} | {row['p99_ms']:.0f} "
            f"| {row['errors']:.0f} | {row['rest_mb']:.0f} | {row['load_mb']:.0f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--connections", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--only", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS))
    parser.add_argument("--folder", help="where databases are made; on the disk that is to be measured")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/logins.json"))
    arguments = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("make bench needs wrk on the PATH (Debian: apt install wrk)")
    results: list[dict[str, Any]] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        script = folder / "login.lua"
        script.write_text(SCRIPT)
        server = stack.enter_context(private_postgres()).url()
        steps = [name for _ in range(arguments.rounds) for name in arguments.only]
        with click.progressbar(steps, label="measuring", item_show_func=str, file=sys.stderr) as bar:
            for name in bar:
                results += measure(name, server, arguments, script)
        record = cost_of_record(server, folder)
    if set(arguments.only) == set(CONTESTANTS):
        tables = {connections: summarise(results, connections) for connections in arguments.connections}
        for connections, rows in tables.items():
            show(rows, connections)
        arguments.json.write_text(json.dumps({"tables": tables, "record": record, "rounds": results}, indent=1) + "\n")
    else:
        for result in results:
            click.echo(result)
    click.echo("\nOne record(), µs of CPU in this process: " + ", ".join(f"{k} {v:.0f}" for k, v in record.items()))
    click.echo(f"{os.cpu_count()} cores, {arguments.threads} threads in each of 2 workers")


if __name__ == "__main__":
    main()
