"""The README: its commands and its app run as written, and its picture shows them."""

import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec

from audit_service.events.logins import LoginItem
from tests.support.commands import as_written
from tests.support.documents import PROJECT, blocks, checkout, read, section
from tests.support.postgres import free_port
from tests.support.server import environment, wait_until_up

INSTALL_TIMEOUT = 180  # seconds: the first start makes a virtual environment
SIZE_LIMIT = 7000  # bytes
RUN_IT, IN_AN_APP = section("README.md", "Run it"), section("README.md", "In your Flask app")


@contextmanager
def started(command: str, folder: Path, port: int) -> Iterator[str]:
    """Run *command* as a user would, in a folder with nothing but the repository's files."""
    environ = environment({"AUDIT_PORT": port})
    process = subprocess.Popen(command.split(), cwd=folder, env=environ, stdout=subprocess.PIPE, text=True)
    try:
        wait_until_up(f"http://127.0.0.1:{port}", process, INSTALL_TIMEOUT)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()  # make hands it on
        process.communicate(timeout=30)


def test_make_run_and_the_commands_of_the_first_minute(tmp_path: Path) -> None:
    folder = checkout(tmp_path)
    first, session, _ = blocks(RUN_IT)
    (reporting,) = blocks(read("docs/reports.md"))
    with started(first, folder, free_port()) as url:
        made, right, wrong, failures, *history = as_written(session, folder, url)
        assert "ada" in made
        assert re.fullmatch(r'\{"message":"you are logged in","username":"ada","event":"01[^"]*"\}', right)
        assert json.loads(wrong)["detail"] == "wrong username or password"
        assert [item["outcome"] for item in json.loads(failures)["items"]] == ["failure"]
        assert [line.count('"seq"') for line in history] == [1, 1]
        one, two = as_written(reporting, folder, url)
        assert one.count('"01') == 1
        assert "01900000-0000-7000-8000-000000000001" in two
        assert httpx.get(f"{url}/login/").is_success
    assert (folder / "instance").stat().st_mode & 0o777 == 0o700


def test_the_test_command_is_the_one_that_runs_these() -> None:
    assert blocks(RUN_IT)[2] == "make test\n"
    assert "\nmake test" in read(".ci/run")


def test_the_picture_is_of_the_commands() -> None:
    first, session, _ = blocks(RUN_IT)
    picture = read("docs/images/first-minute.svg")
    typed = [html.unescape(text) for text in re.findall(r'<text class="typed"[^>]*>\$ (.*?)</text>', picture)]
    assert typed == [*first.splitlines(), *session.splitlines()]
    assert "aud_…</text>" in picture


def test_the_event_has_the_fields_of_one() -> None:
    (shown,) = blocks(read("README.md"), "json")
    event = msgspec.convert(json.loads(shown), LoginItem)
    assert list(json.loads(shown)) == list(LoginItem.__struct_fields__)
    assert json.loads(msgspec.json.encode(event)) == json.loads(shown)


def test_the_app_runs_as_written(tmp_path: Path) -> None:
    (app,) = blocks(IN_AN_APP, "python")
    migrate, _, _ = next(block for block in blocks(IN_AN_APP) if "migrate" in block).splitlines()
    (tmp_path / "app.py").write_text(app)
    tries = """
from app import app
client = app.test_client()
for password in ("guessed", "open sesame"):
    answer = client.post("/sign-in", data={"username": "ada", "password": password})
    print(answer.status_code, answer.text)
"""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    commands = f"{migrate}\n{sys.executable} -c '{tries}'\nflask audit history"
    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=tmp_path,
        env=environment({}) | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    _, failed, logged_in, *events = done.stdout.splitlines()
    assert (failed, logged_in) == ("401 wrong username or password", "200 welcome, ada")
    assert [json.loads(line)["reason"] for line in events] == [None, "bad_password"]


def test_its_size() -> None:
    assert (PROJECT / "README.md").stat().st_size <= SIZE_LIMIT
