"""The command line, as a user types it."""

import io
import re
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from audit_service.access.accounts import get_account
from audit_service.access.passwords import verify_password
from audit_service.access.tokens import find_token
from audit_service.cli import main
from audit_service.storage.models import Account, TrailHead
from audit_service.storage.outages import MIGRATE
from audit_service.storage.schema import newest_revision
from audit_service.trail.spool import Spool
from audit_service.vocabulary import Scope
from tests.factories import LoginFactory
from tests.support.accounts import PASSWORD
from tests.support.commands import run, succeed
from tests.support.fault_tools import read_trail


@pytest.fixture
def environ(config: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in config.items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.usefixtures("environ")
def test_accounts(engine: Engine) -> None:
    succeed("accounts", "add", "ada", "--role", "auditor", "--password-stdin", stdin=f"{PASSWORD}\n")
    with Session(engine) as session:
        assert verify_password(get_account(session, "ada").password_hash, PASSWORD)
    heading, row = succeed("accounts", "list").splitlines()
    assert heading.split() == ["username", "role", "created", "disabled"]
    assert row.split()[:2] == ["ada", "auditor"]
    assert PASSWORD not in row


NEW_PASSWORD = "another horse, another battery"


@pytest.fixture
def ada(environ: None, engine: Engine) -> None:
    """An account, made on the command line."""
    succeed("accounts", "add", "ada", "--role", "user", "--password-stdin", stdin=f"{PASSWORD}\n")


def stored(engine: Engine) -> Account:
    with Session(engine) as session:
        account = get_account(session, "ada")
        session.expunge(account)
        return account


@pytest.mark.usefixtures("ada")
def test_disabling_and_enabling_an_account(engine: Engine) -> None:
    before = stored(engine)
    assert succeed("accounts", "disable", "ada") == "disabled the account 'ada' and ended its sessions\n"
    disabled = stored(engine)
    assert disabled.disabled_at is not None
    assert disabled.session_key != before.session_key
    shown = f"{disabled.disabled_at:%Y-%m-%d %H:%M:%SZ}"
    assert succeed("accounts", "list").splitlines()[1].endswith(shown)
    assert succeed("accounts", "enable", "ada") == "enabled the account 'ada'\n"
    assert stored(engine).disabled_at is None
    assert len(succeed("accounts", "list").splitlines()[1].split()) == 4  # name, role, day and time: nothing more


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("stdin", [NEW_PASSWORD, f"{NEW_PASSWORD}\n", f"{NEW_PASSWORD}\r\n", f"{NEW_PASSWORD}\nmore\n"])
def test_setting_the_password_of_an_account(engine: Engine, stdin: str) -> None:
    before = stored(engine)
    printed = succeed("accounts", "set-password", "ada", "--password-stdin", stdin=stdin)
    assert printed == "changed the password of 'ada' and ended its sessions\n"
    assert verify_password(stored(engine).password_hash, NEW_PASSWORD)
    assert stored(engine).session_key != before.session_key


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("stdin", ["", "\n", "short\n", "x" * 257, "password1234\n"])
def test_an_unfit_password_changes_nothing(engine: Engine, stdin: str) -> None:
    before = stored(engine)
    result = run("accounts", "set-password", "ada", "--password-stdin", stdin=stdin)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "password" in result.stderr
    after = stored(engine)
    assert (after.password_hash, after.session_key) == (before.password_hash, before.session_key)


@pytest.mark.usefixtures("ada")
def test_a_password_without_a_terminal_needs_the_option() -> None:
    result = run("accounts", "set-password", "ada", stdin=f"{NEW_PASSWORD}\n{NEW_PASSWORD}\n")
    assert result.exit_code == 2
    assert "use --password-stdin" in result.stderr


class _Typing(io.BytesIO):
    """Standard input of somebody who thinks: *meanwhile* is done before the first letter arrives."""

    def __init__(self, typed: str, meanwhile: Callable[[], None]) -> None:
        super().__init__(typed.encode())
        self._meanwhile = meanwhile
        self.was_read = False

    def read(self, size: int | None = -1, /) -> bytes:
        if size:  # click reads nothing, to see whether these are bytes
            self._think()
        return super().read(size)

    def read1(self, size: int | None = -1, /) -> bytes:
        self._think()
        return super().read1(-1 if size is None else size)

    def _think(self) -> None:
        if not self.was_read:
            self.was_read = True
            self._meanwhile()


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("command", [["add", "bob", "--role", "user"], ["set-password", "ada"]], ids=" ".join)
def test_no_lock_is_held_while_a_password_is_typed(engine: Engine, command: list[str]) -> None:
    """Else one terminal that is left open keeps all logins out of an SQLite trail."""

    def somebody_logs_in() -> None:
        with engine.begin() as connection:
            connection.execute(update(TrailHead).values(size=TrailHead.size))

    stdin = _Typing(f"{NEW_PASSWORD}\n", somebody_logs_in)
    result = CliRunner().invoke(main, ["accounts", *command, "--password-stdin"], input=stdin)
    assert stdin.was_read
    assert result.exit_code == 0, result.output


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("role", ["auditor", "admin", "user"])
def test_setting_the_role_of_an_account(engine: Engine, role: str) -> None:
    before = stored(engine)
    assert f"has the role {role} now" in succeed("accounts", "set-role", "ada", role)
    assert (stored(engine).role, succeed("accounts", "list").splitlines()[1].split()[1]) == (role, role)
    assert stored(engine).session_key != before.session_key


@pytest.mark.usefixtures("ada")
def test_a_role_that_there_is_not(engine: Engine) -> None:
    result = run("accounts", "set-role", "ada", "god")
    assert result.exit_code == 2
    assert "'user', 'auditor', 'admin'" in result.stderr
    assert stored(engine).role == "user"


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    ("options", "stdin", "is_removed"),
    [
        (["--yes"], None, True),
        ([], "y\n", True),
        ([], "yes\n", True),
        ([], "n\n", False),
        ([], "\n", False),
        ([], "", False),
    ],
)
def test_removing_an_account_asks_first(options: list[str], stdin: str | None, is_removed: bool) -> None:
    result = run("accounts", "remove", "ada", *options, stdin=stdin)
    assert result.exit_code == (0 if is_removed else 1)
    assert ("'disable' can be undone" in result.output) == (not options)
    assert ("removed the account 'ada'" in result.stdout) == is_removed
    assert ("ada" in succeed("accounts", "list")) == (not is_removed)


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    "command",
    [
        ["disable"],
        ["enable"],
        ["set-password", "--password-stdin"],
        ["set-role"],
        ["end-sessions"],
        ["unlock"],
        ["remove", "--yes"],
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("name", ["nobody", "ADA", "ada ", "x" * 300])
def test_an_account_that_there_is_not(command: list[str], name: str) -> None:
    arguments = [command[0], name, *command[1:], *(["user"] if command[0] == "set-role" else [])]
    result = run("accounts", *arguments, stdin=f"{NEW_PASSWORD}\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: there is no account {name!r}: 'audit-service accounts list' shows all\n"


@pytest.mark.usefixtures("ada")
def test_sessions_are_ended(engine: Engine) -> None:
    before = stored(engine)
    assert succeed("accounts", "end-sessions", "ada") == "ended the sessions of 'ada'\n"
    after = stored(engine)
    assert after.session_key != before.session_key
    assert (after.password_hash, after.role, after.disabled_at) == (before.password_hash, before.role, None)


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    ("options", "lifted"), [([], "all networks"), (["--network", "192.0.2.7"], "192.0.2.0/24")], ids=["all", "one"]
)
def test_an_account_is_unlocked(options: list[str], lifted: str) -> None:
    assert succeed("accounts", "unlock", "ada", *options) == f"'ada' may try again from {lifted}\n"
    assert (
        run("accounts", "unlock", "ada", "--network", "here").stderr == "Error: 'here' is no address and no network\n"
    )


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
def test_spool(database_url: str, config: dict[str, object]) -> None:
    assert succeed("spool", "status").split() == ["waiting", "0", "oldest", "-", "foreign", "0", "rejected", "0"]
    events = LoginFactory.build_batch(3)
    data = Path(str(config["AUDIT_DATA_DIR"]))
    data.mkdir()
    Spool(data / "spool.db").add(events, time.monotonic() + 5)
    assert "waiting   3" in succeed("spool", "status")
    assert succeed("spool", "replay").endswith("replayed 3, waiting 0, rejected 0, foreign 0\n")
    assert succeed("spool", "replay").endswith("replayed 0, waiting 0, rejected 0, foreign 0\n")
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
    assert migrated.endswith(f" is at revision {newest_revision()}")
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
    needed = f"revision (none), this program needs {newest_revision()}: run {MIGRATE}"
    assert (result.exit_code, result.stderr) == (1, f"Error: the database is at {needed}\n")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("AUDIT_PROT", "1", "AUDIT_PROT is not a setting; the nearest is AUDIT_PORT (a number from 1 to 65535)"),
        ("AUDIT_PORT", "x", "AUDIT_PORT must be a number from 1 to 65535, not 'x'"),
        (
            "AUDIT_DATABASE_URL",
            "sqlite:////no/such/folder/x.db",
            "cannot make the database file /no/such/folder/x.db: No such",
        ),
        (
            "AUDIT_DATABASE_URL",
            "postgresql://u:hunter2@127.0.0.1:1/d?password=hunter2",
            "the database postgresql+psycopg://u:***@127.0.0.1:1/d (AUDIT_DATABASE_URL) refused: connection failed",
        ),
        ("AUDIT_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/d", "; see that it runs, and that this machine"),
        ("AUDIT_DATABASE_URL", "sqlite://", "in-memory SQLite"),
        ("AUDIT_DATABASE_URL", "mysql://u:hunter2@h/d", "needs postgresql:// (psycopg) or sqlite:///, not mysql://"),
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


def walk(command: object, path: list[str]) -> list[tuple[list[str], object]]:
    """All commands, with what one types to call them."""
    below = getattr(command, "commands", {})
    return [(path, command), *(found for name, child in below.items() for found in walk(child, [*path, name]))]


def test_every_command_explains_itself() -> None:
    paths = [path for path, _ in walk(main, [])]
    assert len(paths) == 50
    for path in paths:
        text = succeed(*path, "--help")
        assert len(text.splitlines()) > 4


def typed(parameter: click.Parameter, value: str) -> list[str]:
    """What one types to give *value* to a parameter."""
    return [value] if isinstance(parameter, click.Argument) else [parameter.opts[0], value]


def sound(parameter: click.Parameter) -> list[str]:
    """What one types for a parameter that a command needs."""
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return [parameter.opts[0]] if parameter.name in ("yes", "password_stdin") else []
    value = next(iter(parameter.type.choices)) if isinstance(parameter.type, click.Choice) else "x"
    return typed(parameter, value) if parameter.required else []


@pytest.mark.usefixtures("environ", "engine")
@pytest.mark.parametrize("backend", ["sqlite"])  # such a text shall reach no database
def test_what_is_no_valid_text_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("sign", "--once")  # there is no bundle without a checkpoint
    wrong, refused = "\udcff", 0  # as Python gives the byte FF of an argument
    for path, command in walk(main, []):
        parameters = command.params if isinstance(command, click.Command) else []
        for parameter in parameters:
            if isinstance(parameter, click.Option) and parameter.is_flag:
                continue
            given = [typed(each, wrong) if each is parameter else sound(each) for each in parameters]
            result = run(*path, *(text for texts in given for text in texts), stdin=f"{PASSWORD}\n")
            where = (path, parameter.name, result.output)
            if path == ["verify"]:  # whose statuses say what is proven
                assert (result.exit_code, "Traceback" in result.stderr) == (2, False), where
            elif isinstance(parameter.type, click.Path):  # a file may have any name
                is_refused = parameter.type.exists or path == ["witness"]  # it would serve, were "x" a place to listen
                assert result.exit_code == (2 if is_refused else 0), where
                (tmp_path / wrong).unlink(missing_ok=True)
            elif isinstance(parameter.type, click.Choice | click.IntRange) or parameter.name in ("zone", "encoding"):
                assert (result.exit_code, "is no" in result.stderr) == (2, True), where
            else:
                assert result.exit_code == 1, where
                assert re.fullmatch(r"Error: '[A-Za-z_-]+' is no valid text: give it in UTF-8\n", result.stderr), where
                refused += 1
    assert refused > 50


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_password_that_is_no_valid_text() -> None:
    arguments = ["accounts", "set-password", "ada", "--password-stdin"]
    result = CliRunner().invoke(main, arguments, input=PASSWORD.encode() + b"\xff\n", prog_name="audit-service")
    assert result.exit_code == 1
    assert result.stderr == "Error: the password on standard input is no valid text: give it in UTF-8\n"
