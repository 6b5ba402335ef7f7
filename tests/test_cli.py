"""The command line, as a user types it."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from audit_service.accounts import get_account
from audit_service.cli import main
from audit_service.passwords import verify_password
from audit_service.tokens import find_token
from audit_service.trail.recorder import Recorder
from audit_service.trail.spool import Spool
from audit_service.vocabulary import Scope
from tests.conftest import PASSWORD
from tests.factories import LoginFactory, SaveThrough
from tests.fault_tools import read_trail


@pytest.fixture
def environ(config: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in config.items():
        monkeypatch.setenv(name, str(value))


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin, prog_name="audit-service")


def succeed(*arguments: str, stdin: str | None = None) -> str:
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.usefixtures("environ")
def test_accounts(engine: Engine) -> None:
    succeed("accounts", "add", "ada", "--role", "auditor", "--password-stdin", stdin=f"{PASSWORD}\n")
    with Session(engine) as session:
        assert verify_password(get_account(session, "ada").password_hash, PASSWORD)
    heading, row = succeed("accounts", "list").splitlines()
    assert heading.split() == ["username", "role", "created", "disabled"]
    assert row.split()[:2] == ["ada", "auditor"]
    assert PASSWORD not in row


@pytest.mark.usefixtures("environ", "engine")
def test_an_account_without_a_terminal_needs_the_option() -> None:
    result = run("accounts", "add", "ada", "--role", "user", stdin=PASSWORD)
    assert result.exit_code == 2
    assert "use --password-stdin" in result.stderr


@pytest.mark.usefixtures("environ")
def test_tokens(engine: Engine) -> None:
    printed = succeed("tokens", "add", "--scope", "read", "--name", "poller")
    token = printed.removesuffix("\n")

    def is_valid() -> bool:
        with Session(engine) as session:
            return find_token(session, token, Scope.READ) is not None

    assert is_valid()
    assert token not in succeed("tokens", "list")
    assert run("tokens", "revoke", "poller", stdin="n\n").exit_code == 1
    assert is_valid()
    succeed("tokens", "revoke", "poller", "--yes")
    assert not is_valid()


@pytest.mark.usefixtures("environ")
def test_history(recorder: Recorder) -> None:
    with SaveThrough(recorder):
        LoginFactory(username="ada")
        newest = LoginFactory(username="bob", failed=True)
    heading, first, second = succeed("history").splitlines()
    assert heading.split()[:3] == ["timestamp", "action", "outcome"]
    assert "bad_password" in first
    assert "bob" in first
    assert "ada" in second
    (line,) = succeed("history", "--json", "--limit", "1").splitlines()
    assert json.loads(line)["id"] == str(newest.id)


@pytest.mark.usefixtures("environ")
def test_spool(database_url: str, config: dict[str, object]) -> None:
    assert succeed("spool", "status").split() == ["waiting", "0", "oldest", "-", "rejected", "0"]
    events = LoginFactory.build_batch(3)
    data = Path(str(config["AUDIT_DATA_DIR"]))
    data.mkdir()
    Spool(data / "spool.db").add(events, time.monotonic() + 5)
    assert "waiting   3" in succeed("spool", "status")
    assert succeed("spool", "replay").endswith("replayed 3, waiting 0, rejected 0\n")
    assert succeed("spool", "replay").endswith("replayed 0, waiting 0, rejected 0\n")
    assert read_trail(database_url).ids == [str(event.id) for event in events]


@pytest.mark.usefixtures("environ")
def test_a_spool_that_is_off(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_SPOOL", "off")
    assert "the spool is off (AUDIT_SPOOL)" in run("spool", "status").stderr


def test_setup_prints_the_first_account_and_token_once(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_DATABASE_URL", empty_database_url)
    monkeypatch.setenv("AUDIT_SECRET_KEY", "x" * 16)
    printed = dict(line.split() for line in succeed("setup").splitlines() if line.startswith("  "))
    assert set(printed) == {"username", "password", "token"}
    engine_settings = succeed("accounts", "list")
    assert "admin" in engine_settings
    migrated, there = succeed("setup").splitlines()
    assert migrated.endswith(" is at revision 0003")
    assert "there are accounts already" in there


@pytest.mark.parametrize(
    "command",
    [["serve"], ["history"], ["accounts", "list"], ["tokens", "add", "--scope", "read", "--name", "x"]],
)
def test_a_database_that_is_not_migrated(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("AUDIT_DATABASE_URL", empty_database_url)
    monkeypatch.setenv("AUDIT_SECRET_KEY", "x" * 16)
    result = run(*command)
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: the database is at revision (none), this program needs 0003: run 'audit-service migrate'\n",
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("AUDIT_PROT", "1", "AUDIT_PROT is not a setting; the nearest is AUDIT_PORT (a number from 1 to 65535)"),
        ("AUDIT_PORT", "x", "AUDIT_PORT must be a number from 1 to 65535, not 'x'"),
        ("AUDIT_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/d", "the database (AUDIT_DATABASE_URL) refused"),
        ("AUDIT_DATABASE_URL", "sqlite:///no/such/folder/x.db", "unable to open database file"),
        ("AUDIT_DATABASE_URL", "sqlite://", "in-memory SQLite"),
        ("AUDIT_DATABASE_URL", "mysql://u:hunter2@h/d", "needs postgresql:// (psycopg) or sqlite:///, not mysql://"),
        ("AUDIT_DATABASE_URL", "postgresql+psycopg2://h/d", "not postgresql+psycopg2://"),
    ],
)
def test_errors_are_one_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    monkeypatch.setenv(name, value)
    result = run("migrate")
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert "hunter2" not in result.stderr


def test_the_embedded_database_needs_no_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "run 'audit-service setup'" in run("history").stderr
    assert not (tmp_path / "instance").exists()
    succeed("setup")
    assert (tmp_path / "instance" / "audit.db").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "instance" / "audit.db").exists()
    assert oct((tmp_path / "instance").stat().st_mode)[-3:] == "700"


def test_every_command_explains_itself() -> None:
    def walk(command: object, path: list[str]) -> list[list[str]]:
        below = getattr(command, "commands", {})
        return [path, *(found for name, child in below.items() for found in walk(child, [*path, name]))]

    paths = walk(main, [])
    assert len(paths) == 20
    for path in paths:
        text = succeed(*path, "--help")
        assert len(text.splitlines()) > 4
