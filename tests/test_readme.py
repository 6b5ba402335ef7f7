"""The README: its commands run as written, its tables say what is true."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from audit_service.cli import main
from audit_service.events.admin import AdminFilters
from audit_service.events.errors import ErrorFilters
from audit_service.events.logins import LoginFilters
from audit_service.history.parameters import Paging
from audit_service.settings.environment import NAMES
from audit_service.settings.table import Settings, setting_help, setting_type
from audit_service.storage.database import Base
from audit_service.storage.models import AdminEvent, ErrorEvent, LoginEvent
from audit_service.vocabulary import Action, AdminAction, Reason
from tests.support.postgres import free_port
from tests.support.server import environment, wait_until_up

INSTALL_TIMEOUT = 180  # seconds: the first start makes a virtual environment
PROJECT = Path(__file__).parent.parent
README = (PROJECT / "README.md").read_text()


def section(heading: str) -> str:
    return README.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def commands(heading: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", section(heading), re.DOTALL)


def table(heading: str) -> list[list[str]]:
    rows = [line.strip("|").split(" | ") for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


@contextmanager
def started(command: str, folder: Path, port: int) -> Iterator[str]:
    """Run *command* as a user would, in a folder with nothing but the repository's files."""
    environ = environment({"AUDIT_PORT": port})
    process = subprocess.Popen(
        command, shell=True, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        wait_until_up(f"http://127.0.0.1:{port}", process, INSTALL_TIMEOUT)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.communicate(timeout=30)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (PROJECT / name).exists():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, tmp_path / name)
    return tmp_path


def as_written(block: str, folder: Path, url: str) -> list[str]:
    """Run a block of commands against the service at *url*; return the lines that it prints."""
    script = block.replace("http://127.0.0.1:8000", url).replace("curl ", "curl -sS -w '\\n' ")
    done = subprocess.run(
        ["bash", "-euc", script], cwd=folder, env=environment({}), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return list(filter(None, done.stdout.splitlines()))


def test_make_run_and_the_session_of_curl(checkout: Path) -> None:
    (first, _) = commands("Start")
    (session,), (reporting,) = commands("Try it"), commands("Report logins of other apps")
    with started(first, checkout, free_port()) as url:
        made, right, wrong, by_json, everything, failures, *history = as_written(session, checkout, url)
        assert "ada" in made
        assert re.fullmatch(r'\{"message":"you are logged in","username":"ada","event":"01[^"]*"\}', right)
        assert wrong in re.findall(r"`(.*?)`", section("Try it"))
        assert '"event"' in by_json
        assert everything.count('"seq"') == 3
        assert failures.count('"seq"') == 1
        assert [line.count('"seq"') for line in history] == [1, 1, 1]
        one, two = as_written(reporting, checkout, url)
        assert one.count('"01') == 1
        assert "01900000-0000-7000-8000-000000000001" in two
        assert httpx.get(f"{url}/login/").is_success
    assert (checkout / "instance").stat().st_mode & 0o777 == 0o700


def test_the_test_command_is_the_one_that_runs_these() -> None:
    assert commands("Start")[1] == "make test\n"
    assert "\nmake test" in (PROJECT / ".ci/run").read_text()


@pytest.mark.parametrize(("model", "place"), [(LoginEvent, "logins"), (ErrorEvent, "errors"), (AdminEvent, "admin")])
def test_every_stored_field_is_explained(model: type[Base], place: str) -> None:
    rows = [row for row in table("What is stored") if row[1] == "all" or place in row[1].split(", ")]
    assert {row[0].strip("`") for row in rows} == set(model.__table__.columns.keys())


def test_every_word_of_a_vocabulary_is_explained() -> None:
    words = {(row[0].strip("`"), row[1]): re.findall(r"`(\w+)`", row[2]) for row in table("What is stored")}
    assert words["reason", "logins"] == list(Reason)
    assert words["action", "logins"] == list(Action)
    assert words["action", "admin"] == list(AdminAction)


def test_every_setting_is_explained() -> None:
    rows = {row[0].strip("`"): row[1:] for row in table("Settings")}
    assert list(rows) == NAMES
    defaults = Settings()
    for name, (type_, default, meaning) in rows.items():
        field = name.removeprefix("AUDIT_").lower()
        assert (type_, meaning) == (setting_type(field), setting_help(field))
        if getattr(defaults, field):
            assert default.strip("`") == str(getattr(defaults, field))


def test_every_parameter_and_command_is_named() -> None:
    parameters = {name for row in table("Read the history") for name in re.findall(r"`(\w+)`", row[0])}
    filters = {name for kind in (LoginFilters, ErrorFilters, AdminFilters) for name in kind.__struct_fields__}
    assert parameters == {*filters, *Paging.__struct_fields__}
    text = section("Commands")
    for name, command in main.commands.items():
        assert f"{name}" in text
        assert "|".join(getattr(command, "commands", {})) in text
