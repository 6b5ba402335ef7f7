"""A host in gunicorn, with real HTTP: threads, gevent, and workers that are forked from an app loaded before."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.databases import new_postgres_database
from tests.support.flask_commands import succeed
from tests.support.postgres import free_port
from tests.support.server import START_TIMEOUT, environment

APP = """
import os
from flask import Flask, request
from audit_service import LoginAudit, login_signal

app = Flask(__name__)
app.secret_key = "x" * 16
app.config["SQLALCHEMY_DATABASE_URI"] = {url!r}
LoginAudit(app)
{early}


@app.post("/enter")
def enter():
    login_signal.send(app, username=request.form["name"], details={{"process": os.getpid()}})
    return "welcome"


@app.get("/")
def home():
    return "here"
"""
EARLY = 'login_signal.send(app, username="before the fork")'
LOGINS = 20


@contextlib.contextmanager
def gunicorn(folder: Path, *arguments: str) -> Iterator[str]:
    """Run gunicorn on the app of *folder* with two workers; end it by SIGTERM and expect it to go quietly."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--workers", "2", "--bind", f"127.0.0.1:{port}", *arguments, "app:app"]
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=folder, env=environment({}), stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/", timeout=START_TIMEOUT)
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert process.returncode == 0, log.read_text()
    assert "Traceback" not in log.read_text(), log.read_text()


def enter(url: str, number: int) -> int:
    return httpx.post(f"{url}/enter", data={"name": f"user {number}"}, timeout=START_TIMEOUT).status_code


@pytest.mark.parametrize(
    ("backend", "arguments"),
    [
        ("sqlite", ["--worker-class", "gthread", "--threads", "4"]),
        ("postgresql", ["--worker-class", "gevent"]),
        ("sqlite", ["--preload"]),
        ("postgresql", ["--preload", "--worker-class", "gthread", "--threads", "4"]),
    ],
    ids=str,
)
def test_each_login_is_an_event(
    backend: str, arguments: list[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with contextlib.ExitStack() as stack:
        url = "sqlite:///shop.db"
        if backend == "postgresql":
            url = stack.enter_context(new_postgres_database(request.getfixturevalue("postgres_url")))
        (tmp_path / "app.py").write_text(APP.format(url=url, early=""))
        succeed(tmp_path, "audit", "migrate")
        is_preloaded = "--preload" in arguments
        (tmp_path / "app.py").write_text(APP.format(url=url, early=EARLY if is_preloaded else ""))
        with gunicorn(tmp_path, *arguments) as address, ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda number: enter(address, number), range(LOGINS)))
        assert answers == [200] * LOGINS
        (tmp_path / "app.py").write_text(APP.format(url=url, early=""))
        listed = succeed(tmp_path, "audit", "export", "logins", "--format", "csv")
        for number in range(LOGINS):
            assert listed.count(f",user {number},") == 1
        assert listed.count("before the fork") == is_preloaded
