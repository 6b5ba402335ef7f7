"""The history on a terminal and in a pipe: words for times, tables, colour, figures, and following."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, select

from audit_service.storage.models import AdminEvent
from audit_service.values.when import ago
from audit_service.vocabulary import Role
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.commands import run, succeed
from tests.support.logins import log_in
from tests.support.server import environment
from tests.support.waiting import wait_until

COMMAND = [sys.executable, "-m", "audit_service.cli"]
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def environ(config: dict[str, object], engine: Engine, recorder: object, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in config.items():
        monkeypatch.setenv(name, str(value))


def on_terminal(config: dict[str, object], *arguments: str, **more: str) -> str:
    """What a command prints on a terminal."""
    master, slave = pty.openpty()
    environ = {"TERM": "xterm", **environment(config), **more}
    with subprocess.Popen([*COMMAND, *arguments], env=environ, stdout=slave, stderr=slave):
        os.close(slave)
        shown = b""
        with contextlib.suppress(OSError):  # EIO is the end on Linux
            while block := os.read(master, 4096):
                shown += block
    os.close(master)
    return shown.decode().replace("\r\n", "\n")


def usernames(*arguments: str) -> list[str]:
    return [json.loads(line)["username"] for line in succeed("history", *arguments).splitlines()]


def test_words_for_times() -> None:
    now = datetime.now(UTC)
    for name, time in [("new", now - timedelta(minutes=5)), ("old", now - timedelta(days=9)), ("noon", NOON)]:
        LoginFactory(username=name, timestamp=time)
    assert usernames("--since", "1h") == ["new"]
    assert usernames("--since", "2w", "--until", "24 hours") == ["old"]
    assert usernames("--since", "2026-01-31", "--until", "2026-02-01") == ["noon"]
    assert usernames("--since", "2026-01-31 13:00", "--until", "2026-01-31 13:00:01", "--tz", "Europe/Berlin") == [
        "noon"
    ]
    assert usernames("--since", "2026-01-31T13:00:00+01:00", "--until", "2026-01-31T12:00:01Z") == ["noon"]
    assert usernames("--since", "2026-01-31", "--until", "yesterday", "--username-not", "old") == ["noon"]


def test_the_zone_is_said() -> None:
    said = run("history", "--since", "2026-01-31", "--tz", "Asia/Kathmandu").stderr
    assert said == "since 2026-01-31 00:00:00+05:45 (Asia/Kathmandu)\nno event matches\n"
    said = run("export", "logins", "--since", "2026-01-31", "--until", "2026-02-01").stderr
    assert said.startswith("since 2026-01-31 00:00:00+00:00 until 2026-02-01 00:00:00+00:00 (UTC)\n")
    wrong = run("history", "--since", "2026-01-31", "--tz", "Mars/Olympus")
    assert (wrong.exit_code, "--tz: tz must be a time zone such as Europe/Berlin" in wrong.stderr) == (2, True)


def test_the_next_page_is_of_the_same_time_however_long_one_waits(engine: Engine) -> None:
    for n in range(3):
        LoginFactory(username=f"u{n}", timestamp=datetime.now(UTC) - timedelta(minutes=n))
    seen, more = [], ["--since", "1h"]
    for _ in range(3):
        result = run("history", "--limit", "1", *more)
        seen += [json.loads(line)["username"] for line in result.stdout.splitlines()]
        more = result.stderr.rpartition("there is more: ")[2].split()
    assert (seen, more[:1]) == (["u0", "u1", "u2"], ["since"])  # the time that was looked at, and no further page
    with engine.connect() as connection:
        details = connection.scalars(select(AdminEvent.details).where(AdminEvent.target.like("%history logins"))).all()
    assert {re.sub("[0-9]", "0", each["since"][0]) for each in details if each} == {"0000-00-00T00:00:00.000000Z"}


@pytest.mark.parametrize("backend", ["sqlite"])
def test_colour_and_relative_times_on_a_terminal_only(config: dict[str, object]) -> None:
    time = datetime.now(UTC) - timedelta(hours=3)
    LoginFactory(username="李雷", timestamp=time, failed=True)
    shown = on_terminal(config, "history")
    assert "(3 h ago)" in shown
    assert "\x1b[31m" in shown
    quiet = on_terminal(config, "history", NO_COLOR="1")
    assert "\x1b" not in quiet
    assert quiet == re.sub(r"\x1b\[\d+m", "", shown)
    assert f"{time:%Y-%m-%d %H:%M:%S}Z" in shown
    piped = succeed("history")
    assert ("\x1b" in piped, "ago" in piped) == (False, False)
    assert "+05:45 (3 h ago)" in on_terminal(config, "history", "--tz", "Asia/Kathmandu")
    indented = on_terminal(config, "history", "--json")
    assert indented.startswith('{\n  "')
    assert json.loads(indented) == json.loads(piped)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_sessions_on_a_terminal(config: dict[str, object], client: FlaskClient, accounts: dict[Role, str]) -> None:
    assert on_terminal(config, "history", "sessions") == "nobody is logged in with an account of the service\n"
    log_in(client, headers={"User-Agent": "curl/8.5.0"})
    heading, line = on_terminal(config, "history", "sessions", "--tz", "Asia/Kathmandu").splitlines()
    assert heading.split() == ["username", "role", "since", "last", "seen", "remote_addr", "user_agent"]
    assert re.fullmatch(r"user +user +.{19}\+05:45 +(now|\d+ s ago) +127\.0\.0\.1 +curl/8\.5\.0", line)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_timeline_on_a_terminal(config: dict[str, object]) -> None:
    LoginFactory(username="ada", remote_addr="192.0.2.1")
    ErrorFactory(username="bob")
    AdminFactory(actor="cyd", target="ada")
    heading, *lines = on_terminal(config, "history", "events", "--limit", "3", NO_COLOR="1").splitlines()
    assert heading.split() == ["timestamp", "who", "what", "remote_addr"]
    assert re.search(r"cyd +account_added ada ", lines[0])
    assert re.search(r"bob +ValueError somewhere", lines[1])
    assert re.search(r"ada +login success +192.0.2.1", lines[2])


def test_how_long_ago() -> None:
    for seconds, words in [(0, "now"), (-5, "now"), (1, "1 s ago"), (119, "1 min ago"), (7200, "2 h ago")]:
        assert ago(NOON - timedelta(seconds=seconds), NOON) == words
    assert ago(NOON - timedelta(days=400), NOON) == "400 d ago"


def test_summary(config: dict[str, object]) -> None:
    for n in range(3):
        LoginFactory(username=f"name{n}", remote_addr="192.0.2.7", timestamp=NOON, failed=True)
    asked = [
        "history",
        "summary",
        "--by",
        "network",
        "--then",
        "username",
        "--since",
        "2026-01-31",
        "--until",
        "2026-02-01",
    ]
    found = json.loads(succeed(*asked))
    assert [(item["key"], item["count"], item["distinct"]) for item in found["items"]] == [("192.0.2.0/24", 3, 3)]
    span, heading, line = on_terminal(config, *asked).splitlines()
    assert span == "since 2026-01-31 00:00:00+00:00 until 2026-02-01 00:00:00+00:00 (UTC)"
    assert heading.split("  ")[0] == "network"
    assert line.split() == ["192.0.2.0/24", "3", "3", "3", "name0", "1,", "name1", "1,", "name2", "1"]
    assert json.loads(on_terminal(config, *asked, "--json").partition("\n")[2]) == found
    assert on_terminal(config, "history", "--username", "nobody") == "no event matches\n"
    nothing = on_terminal(config, *asked, "--username", "nobody").splitlines()
    assert nothing == [span, "nothing in this time"]
    wrong = run("history", "summary")
    assert (wrong.exit_code, "Error: --by: by is required here" in wrong.stderr) == (2, True)


def test_last(config: dict[str, object]) -> None:
    LoginFactory(username="ada", timestamp=NOON)
    LoginFactory(username="ada", timestamp=NOON + timedelta(minutes=1), failed=True)
    found = json.loads(succeed("history", "last", "ada"))
    assert (found["last_success"]["timestamp"], found["failures_since"]) == ("2026-01-31T12:00:00Z", 1)
    shown = on_terminal(config, "history", "last", "ada", NO_COLOR="1").splitlines()
    assert [line.split()[:2] for line in shown[1:3]] == [["2026-01-31", "12:00:00Z"], ["2026-01-31", "12:01:00Z"]]
    assert shown[3] == "failures since the last login that succeeded: 1"
    assert json.loads(succeed("history", "last", "nobody"))["last_success"] is None


@contextlib.contextmanager
def following(config: dict[str, object], *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [*COMMAND, "history", *arguments, "--follow"],
        env=environment(config),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def next_name(process: "subprocess.Popen[bytes]") -> Any:
    assert process.stdout
    item = json.loads(process.stdout.readline())
    return item.get("username") or item["actor"]


def test_follow(config: dict[str, object]) -> None:
    for n in range(4):
        LoginFactory(username=f"old{n}")
    with following(config, "logins", "--limit", "3", "--username-prefix", "O", "--outcome", "success") as process:
        assert [next_name(process) for _ in range(3)] == ["old1", "old2", "old3"]
        LoginFactory(username="another")
        LoginFactory(username="older", timestamp=NOON)  # which waited in a spool, say
        assert next_name(process) == "older"
        LoginFactory(username="once more")
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (0, b"")
    assert all(json.loads(line)["username"] == "once more" for line in rest.splitlines())


def test_follow_all_kinds(config: dict[str, object]) -> None:
    LoginFactory(username="first")
    with following(config, "events", "--app", "tests") as process:
        assert next_name(process) == "first"
        ErrorFactory(username="second")
        assert next_name(process) == "second"
        AdminFactory(actor="third")
        assert next_name(process) == "third"


@pytest.mark.parametrize("backend", ["sqlite"])
def test_follow_ends_when_its_reader_leaves(config: dict[str, object]) -> None:
    """Also while nothing happens: as ``head`` leaves."""
    LoginFactory(username="first")
    with following(config) as process:
        assert next_name(process) == "first"
        assert process.stdout
        process.stdout.close()
        wait_until(lambda: process.poll() is not None, "it goes on")
        assert process.stderr
        assert (process.returncode, process.stderr.read()) == (0, b"")


@pytest.mark.parametrize("option", [("--order", "oldest"), ("--cursor", "x")])
@pytest.mark.parametrize("backend", ["sqlite"])
def test_follow_has_its_own_order(option: tuple[str, str]) -> None:
    result = run("history", "--follow", *option)
    assert (result.exit_code, "goes with neither --order nor --cursor" in result.stderr) == (2, True)
