"""The history on the command line: the same questions as the API's, a table or lines, and files that are whole."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, select

from audit_service.cli.export import target_of
from audit_service.context import context_of
from audit_service.events.base import Network
from audit_service.storage.models import AdminEvent
from audit_service.values.typed import title_of
from audit_service.vocabulary import AdminAction
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.commands import run, succeed
from tests.support.reader import Reader
from tests.support.server import environment

NAMES = ("ada", "bob", "李雷")
COMMAND = [sys.executable, "-m", "audit_service.cli"]


@pytest.fixture
def environ(config: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in config.items():
        monkeypatch.setenv(name, str(value))


@pytest.fixture
def reader(client: FlaskClient, token: dict[str, str], environ: None) -> Reader:
    for n in range(9):
        LoginFactory(username=NAMES[n % 3], remote_addr=f"10.0.{n % 2}.1", failed=n % 3 == 1)
    return Reader(client, token)


def lines_of(*arguments: str) -> list[Any]:
    return [json.loads(line) for line in succeed(*arguments).splitlines()]


def looks(engine: Engine, action: AdminAction) -> list[tuple[str, str | None]]:
    with engine.connect() as connection:
        found = connection.execute(select(AdminEvent.actor, AdminEvent.target).where(AdminEvent.action == action))
        return [(row.actor.partition(":")[0], row.target) for row in found]


def test_the_options_are_the_parameters(reader: Reader, engine: Engine) -> None:
    questions: list[dict[str, Any]] = [
        {},
        {"username": ["ada", "李雷"]},
        {"remote_addr": ["10.0.0.0/24", "10.0.1.1"], "outcome": ["failure"]},
        {"order": "oldest", "limit": "2"},
        {"order": "arrival", "since": "2020-01-01T00:00:00Z"},
        {"until": "2020-01-01T00:00:00Z"},
    ]
    for question in questions:
        options = [
            part
            for name, given in question.items()
            for value in (given if isinstance(given, list) else [given])
            for part in (f"--{name.replace('_', '-')}", value)
        ]
        assert lines_of("history", *options) == reader.get("/api/logins", **question).get_json()["items"], question
    assert looks(engine, AdminAction.HISTORY_READ).count(("cli", "audit-service history logins")) == len(questions)


def test_pages_by_cursor(reader: Reader) -> None:
    whole = lines_of("history", "--order", "oldest")
    seen: list[Any] = []
    cursor: list[str] = []
    for _ in range(3):
        result = run("history", "--order", "oldest", "--limit", "4", *cursor)
        seen += [json.loads(line) for line in result.stdout.splitlines()]
        cursor = result.stderr.split()[-2:]
    assert (seen, result.stderr) == (whole, "")
    cursor = run("history", "--limit", "1").stderr.split()[-2:]
    assert reader.get("/api/logins", cursor=cursor[1]).status_code == 400  # the commands need no secret key


@pytest.mark.usefixtures("environ", "engine")
@pytest.mark.parametrize("command", [["history"], ["export", "logins"]], ids=" ".join)
@pytest.mark.parametrize("backend", ["sqlite"])
def test_errors_name_the_option(command: list[str]) -> None:
    for name, value, message in [
        ("--outcome", "maybe", "outcome must be `success` or `failure`"),
        ("--remote-addr", "10.0.0.x", "remote_addr must be an IP address, or a network"),
        ("--remote-addr", "10.0.0.1/8", f"remote_addr must be {title_of(Network)}; 10.0.0.0/8 is probably meant\n"),
        (
            "--since",
            "2026-01-31T12:00:00 01:00",
            "since must be a time such as 24h, 7d, today, yesterday, 2026-01-31, 2026-",
        ),
        ("--order", "up", "order must be `newest`, `oldest` or `arrival`"),
        ("--username", "x" * 256, "username must be a text of at most 255 characters"),
        *([("--limit", "0", "limit must be"), ("--cursor", "x", "cursor must be")] if command == ["history"] else []),
    ]:
        result = run(*command, name, value)
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"Error: {name}: {message}" in result.stderr
        assert "%2B" not in result.stderr + run(*command, "--help").stdout  # words for URLs
    twice = run(*command, "--since", "2026-01-01T00:00:00Z", "--since", "2026-01-02T00:00:00Z")
    assert (twice.exit_code, "Error: --since: since may be given once only" in twice.stderr) == (2, True)
    result = run("export", "logins", "--limit", "1")
    assert (result.exit_code, "No such option" in result.stderr) == (2, True)


COMMANDS = {"logins": "logins", "errors": "errors", "admin-events": "changes", "events": "events"}


@pytest.mark.parametrize("collection", COMMANDS)
def test_each_collection_has_its_command(reader: Reader, engine: Engine, collection: str) -> None:
    ErrorFactory(app="shop")
    AdminFactory(app="shop")
    asked = {"order": "oldest", "limit": 5, "until": "2100-01-01T00:00:00Z"}
    options = [part for name, value in asked.items() for part in (f"--{name}", str(value))]
    items = reader.get(f"/api/{collection}", **asked).get_json()["items"]
    assert items
    command = COMMANDS[collection]
    assert lines_of("history", command, *options)[: len(items)] == items
    if collection == "logins":
        assert lines_of("history", *options) == items
    assert ("cli", f"audit-service history {command}") in looks(engine, AdminAction.HISTORY_READ)


@pytest.mark.usefixtures("environ", "engine")
@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_help_of_history_names_its_commands() -> None:
    for option in ("--help", "-h"):
        text = succeed("history", option)
        assert [name for name in (*COMMANDS.values(), "summary", "last") if f"\n  {name} " not in text] == []
        assert "--fingerprint" in succeed("history", "errors", option)
    result = run("history", "nonsense")
    assert (result.exit_code, "No such command 'nonsense'" in result.stderr) == (2, True)
    assert "No such option" in run("history", "errors", "--outcome", "failure").stderr


@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_event_of_a_look_has_its_question(reader: Reader, engine: Engine) -> None:
    succeed("history", "--username", "ada", "--username", "bob", "--order", "oldest", "--limit", "5")
    with engine.connect() as connection:
        details = connection.scalar(
            select(AdminEvent.details).where(AdminEvent.target == "audit-service history logins")
        )
    assert details == {"order": ["oldest"], "username": ["ada", "bob"]}


def test_a_table_on_a_terminal(reader: Reader, config: dict[str, object]) -> None:
    master, slave = pty.openpty()
    with subprocess.Popen([*COMMAND, "history", "--limit", "2"], env=environment(config), stdout=slave, stderr=slave):
        os.close(slave)
        shown = b""
        with contextlib.suppress(OSError):  # EIO is the end on Linux
            while block := os.read(master, 4096):
                shown += block
    os.close(master)
    heading, first, second, more = shown.decode().splitlines()
    assert heading.split() == ["timestamp", "action", "outcome", "reason", "username", "remote_addr", "method"]
    assert "李雷" in first
    assert "bad_password" in second
    assert more.startswith("there is more: --cursor ")


@pytest.mark.parametrize("collection", ["logins", "errors", "admin-events"])
def test_exports_are_those_of_the_api(reader: Reader, engine: Engine, tmp_path: Path, collection: str) -> None:
    for kind in (ErrorFactory, AdminFactory):
        kind(app="shop", message="a\nb,c") if kind is ErrorFactory else kind(app="shop")
    command = COMMANDS[collection]
    asked = {"app": ["tests", "shop"], "order": "oldest"}
    options = ["--app", "tests", "--app", "shop", "--order", "oldest"]
    for form in ("ndjson", "csv"):
        expected = reader.get(f"/api/{collection}.{form}", **asked).data
        assert expected.count(b"\n") > 0
        result = run("export", command, "--format", form, *options)
        assert (result.exit_code, result.stdout_bytes) == (0, expected), result.stderr
        path = tmp_path / f"out.{form}"
        assert succeed("export", command, "--format", form, "--output", str(path), *options) == ""
        assert path.read_bytes() == expected
        assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in tmp_path.glob("*.part")] == []
    recorded = looks(engine, AdminAction.HISTORY_EXPORTED)
    assert recorded.count(("cli", f"audit-service export {command}")) == 4


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_file_that_is_there_stays_unless_it_is_forced(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("precious")
    result = run("export", "logins", "--output", str(path))
    assert (result.exit_code, path.read_text()) == (2, "precious")
    assert "--force replaces it" in result.stderr
    result = run("export", "logins", "--output", str(path), "--force")
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"exported 9 events to {path}" in result.stderr
    assert len(path.read_text().splitlines()) == 9
    missing = run("export", "logins", "--output", str(tmp_path / "no" / "such" / "out"))
    assert missing.exit_code == 1
    assert missing.stderr.strip().splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("backend", ["sqlite"])
def test_an_interrupted_export_leaves_whole_lines_and_no_file(
    reader: Reader, engine: Engine, config: dict[str, object], tmp_path: Path, number: signal.Signals
) -> None:
    for _ in range(6):
        events = LoginFactory.copies(1000, user_agent="x" * 500)
        context_of(reader.client.application).recorder.record_all(events)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # nobody reads on from either pipe: so the command is in the middle for certain
    for output in ([], ["--output", str(pipe)]):
        process = subprocess.Popen(
            [*COMMAND, "export", "logins", *output],
            env=environment(config),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout
        assert process.stderr
        with process, pipe.open("rb") if output else contextlib.nullcontext(process.stdout) as file:
            begin = file.read(1000)
            process.send_signal(number)
            written = begin + file.read()
            process.wait(timeout=30)
        assert process.returncode == 1
        assert written.endswith(b"}\n")
        lines = [json.loads(line) for line in written.splitlines()]
        assert 0 < len(lines) < 6009
    assert pipe.is_fifo()
    assert len(looks(engine, AdminAction.HISTORY_EXPORTED)) == 2  # what was read in part was read


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with pytest.raises(ZeroDivisionError), target_of(path, force=False) as file:
        file.write(bytes(1 // 0))
    assert list(tmp_path.iterdir()) == []
    link = tmp_path / "link"
    link.symlink_to(path)
    with target_of(link, force=False) as file:
        file.write(b"whole\n")
    assert (path.read_text(), path.stat().st_mode & 0o777, link.is_symlink()) == ("whole\n", 0o600, True)
    with pytest.raises(click.UsageError, match="exists already"), target_of(path, force=False):
        pass
    for bad in (tmp_path / "out" / "x", tmp_path / ("x" * 300), tmp_path / "no" / "such"):
        with pytest.raises(click.FileError), target_of(bad, force=True):
            pass
    assert sorted(tmp_path.iterdir()) == [link, path]


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_look_whose_output_is_cut_off_is_recorded(reader: Reader, engine: Engine, config: dict[str, object]) -> None:
    """As ``head`` does."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*COMMAND, "history"], env=environment(config), stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")
    assert ("cli", "audit-service history logins") in looks(engine, AdminAction.HISTORY_READ)
