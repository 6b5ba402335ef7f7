"""``examples/signal_demo``: the commands of its README, in their order, with real HTTP."""

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documents import blocks
from tests.support.examples import PROJECT, Example, started_example
from tests.support.server import environment

EXAMPLE = PROJECT / "examples/signal_demo"
LINE = re.compile(r"(\w+)\*\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?\*127\.0\.0\.1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "demo", ignore=shutil.ignore_patterns("__pycache__")))


def shell(script: str, folder: Path, example: Example | None = None) -> list[str]:
    """Run commands of the README; return the lines that they print, a further one after each answer."""
    if example:
        script = script.replace("http://127.0.0.1:8004", example.url).replace("curl ", "curl -sS -w '\\n' ")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env={**environment({}), "PATH": path, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def names(lines: list[str]) -> list[str]:
    matches = [LINE.fullmatch(line) for line in lines]
    return [match[1] for match in matches if match]


def test_the_commands_run_as_written(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    start, first, prepare, audited_start, second, again = blocks(text)
    answers = ["请输入用户名", "登录成功", "登录成功"]
    with started_example(start.strip(), folder, folder / "output", {}) as example:
        printed = shell(first, folder, example)
    assert (printed[:3], names(printed[3:])) == (answers, ["ada", "bob"])
    migrated, _zone, imported = shell(prepare, folder)
    assert "instance/audit.db is at revision" in migrated
    assert imported == "imported 2, in the trail already 0, skipped 0"
    setting, _, command = audited_start.strip().partition(" ")
    with started_example(command, folder, folder / "output", dict([setting.split("=")])) as example:
        printed = shell(second, folder, example)
    assert printed[:3] == answers
    events = [json.loads(line) for line in printed[3:-4]]
    assert [(event["username"], event["remote_addr"], event["details"]) for event in events] == [
        ("ada", "127.0.0.1", {"imported_from": "text"}),
        ("bob", "127.0.0.1", {"imported_from": "text"}),
        ("ada", "127.0.0.1", None),
        ("bob", "127.0.0.1", None),
    ]
    assert names(printed[-4:]) == ["ada", "bob", "ada", "bob"]
    assert shell(again, folder)[-1] == "imported 0, in the trail already 4, skipped 0"


def test_one_import_and_one_call_are_changed() -> None:
    """What is not the receiver, its signal and its file is the same in both."""
    before, after = ((EXAMPLE / name).read_text().split('"""\n', 1)[1] for name in ("app.py", "app_audited.py"))
    changes = [line[2:] for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line.startswith("+ ")]
    assert changes == [
        "from flask import Flask, request",
        "from audit_service import LoginAudit, login_signal",
        "LoginAudit(app)",
    ]
