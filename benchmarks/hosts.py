"""``make bench-hosts``: what the extension adds to the login of somebody else's app, for one caller on PostgreSQL.

Four apps answer in one process of one server, asked in turns by one client that keeps its connection: one without us,
one that inserts a row with a name and a time and commits it, one that does so with the row of the trail and its
indexes, and one with the extension. Trust the differences.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection

import click
import psycopg
from flask import Flask, request
from uuid_utils.compat import uuid7
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from audit_service import LoginAudit, login_signal
from tests.support.databases import migrated
from tests.support.postgres import free_port, private_postgres
from tests.support.server import environment, wait_until_up

HOSTS = ("without us", "a row and its commit", "the trail's row and its commit", "with us")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SAME_ROW = """
    INSERT INTO same_logins (id, seq, timestamp, recorded_at, app, username, remote_addr, network, request_id, action,
        outcome)
    VALUES (%s, nextval('same_seq'), now(), now(), 'host', %s, '127.0.0.1', '127.0.0.0/24', %s, 'login', 'success')"""
WARM_UP = 200  # logins of each host that are not counted


def create_server() -> DispatcherMiddleware:
    """Return the hosts, each below the path of its number."""
    url = os.environ["BENCH_DATABASE_URL"]
    connection = psycopg.connect(url, autocommit=True)
    connection.execute("CREATE TABLE plain_logins (username text, at timestamptz DEFAULT now())")
    connection.execute("CREATE TABLE same_logins (LIKE login_events INCLUDING ALL)")
    connection.execute("CREATE SEQUENCE same_seq")
    audited = _app(lambda username: login_signal.send(audited, username=username))
    LoginAudit(audited, url=url)
    bare = _app(lambda _username: None)
    row = _app(lambda username: connection.execute("INSERT INTO plain_logins (username) VALUES (%s)", [username]))
    same = _app(lambda username: connection.execute(SAME_ROW, [uuid7(), username, str(uuid7())]))
    return DispatcherMiddleware(bare, {"/0": bare, "/1": row, "/2": same, "/3": audited})


def _app(keep: Callable[[str], object]) -> Flask:
    app = Flask("host")

    @app.post("/login/")
    def login() -> str:
        keep(request.form["username"])
        return "welcome"

    @app.get("/healthz")
    def healthz() -> str:
        return ""

    return app


def times(port: int, logins: int) -> list[list[float]]:
    """Return the ms of each host's logins, asked for in turns."""
    client = HTTPConnection("127.0.0.1", port, timeout=30)
    taken: list[list[float]] = [[] for _ in HOSTS]
    for turn in range(WARM_UP + logins):
        for host, mine in enumerate(taken):
            started = time.perf_counter()
            client.request("POST", f"/{host}/login/", "username=ada", FORM)
            answer = client.getresponse()
            answer.read()
            if answer.status != 200:
                sys.exit(f"{HOSTS[host]}: {answer.status}")
            if turn >= WARM_UP:
                mine.append((time.perf_counter() - started) * 1000)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logins", type=int, default=3000, help="of each host")
    arguments = parser.parse_args()
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--threads", "4", "--keep-alive", "60"]
    command += ["--log-level", "warning", "--bind", f"127.0.0.1:{port}", "benchmarks.hosts:create_server()"]
    with private_postgres() as server:
        settings = {"BENCH_DATABASE_URL": migrated(server.url())}
        process = subprocess.Popen(command, env=environment(settings), text=True)
        try:
            wait_until_up(f"http://127.0.0.1:{port}", process)
            taken = times(port, arguments.logins)
        finally:
            process.terminate()
            process.wait(timeout=30)
    click.echo("| host | p50 ms | p90 ms | p99 ms |")
    click.echo("|---|---|---|---|")
    medians = []
    for name, mine in zip(HOSTS, taken, strict=True):
        cuts = statistics.quantiles(mine, n=100)
        medians.append(cuts[49])
        click.echo(f"| {name} | {cuts[49]:.2f} | {cuts[89]:.2f} | {cuts[98]:.2f} |")
    for place in (1, 2):
        click.echo(f"\nwith us beyond {HOSTS[place]}: {medians[3] - medians[place]:+.2f} ms at p50")


if __name__ == "__main__":
    main()
