"""The hooks of docs/running.md, run as they are written by a real signer."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.factories import LoginFactory
from tests.support.documents import blocks, section
from tests.support.signed_trail import StartedTrail
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.usefixtures("recorder"),
    pytest.mark.parametrize("backend", ["sqlite"], indirect=True),
]


def hook(folder: Path, mark: str, **places: Path) -> Path:
    """Return the script of the docs that has *mark* in it, with other places."""
    (script,) = [block for block in blocks(section("docs/running.md", "Checkpoints outside")) if mark in block]
    for name, place in places.items():
        assert name in script
        script = script.replace(name, str(place))
    path = folder / "hook"
    path.write_text(script)
    path.chmod(0o700)
    return path


def test_a_repository(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("NAME", "audit"), ("EMAIL", "audit@example.org")):
        monkeypatch.setenv(f"GIT_AUTHOR_{name}", value)
        monkeypatch.setenv(f"GIT_COMMITTER_{name}", value)
    bare, clone = tmp_path / "bare.git", tmp_path / "clone"
    subprocess.run(["git", "init", "--quiet", "--bare", bare], check=True)
    subprocess.run(["git", "clone", "--quiet", bare, clone], check=True, capture_output=True)
    subprocess.run(["git", "config", "push.autoSetupRemote", "true"], cwd=clone, check=True)
    command = str(hook(tmp_path, "git push", **{"/srv/checkpoints": clone}))
    log = StartedTrail(database_url, tmp_path / "data", checkpoint_hook=command, checkpoint_hook_interval=0)
    with log.signing():
        wait_until(lambda: log.is_confirmed("hook", 1), "nothing was pushed")
        LoginFactory.create()
        wait_until(lambda: log.is_confirmed("hook", 2), "nothing was pushed")
    shown = subprocess.run(["git", "log", "--all", "--format=%s"], cwd=bare, check=True, capture_output=True, text=True)
    assert shown.stdout.split("\n") == ["2 events", "1 events", ""]
    branch = subprocess.run(
        ["git", "branch", "--format=%(refname)"], cwd=bare, check=True, capture_output=True, text=True
    )
    note = subprocess.run(
        ["git", "show", f"{branch.stdout.strip()}:checkpoint"], cwd=bare, check=True, capture_output=True
    )
    checkpoint = log.stored()
    assert checkpoint
    assert note.stdout == checkpoint.note


def test_a_folder(database_url: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    command = str(hook(tmp_path, "/mnt/other", **{"/mnt/other": other}))
    log = StartedTrail(database_url, tmp_path / "data", checkpoint_hook=command)
    with log.signing():
        wait_until(lambda: log.is_confirmed("hook", 1), "nothing was written")
    checkpoint = log.stored()
    assert checkpoint
    (path,) = other.iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", path.name)
    assert path.read_bytes() == checkpoint.note


def test_mail(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sendmail = tmp_path / "bin" / "sendmail"
    sendmail.parent.mkdir()
    sendmail.write_text(f'#!/bin/sh -e\n[ "$1" = -t ]\ncat > "{tmp_path}/mail"\n')
    sendmail.chmod(0o700)
    monkeypatch.setenv("PATH", f"{sendmail.parent}:{os.environ['PATH']}")
    log = StartedTrail(database_url, tmp_path / "data", checkpoint_hook=str(hook(tmp_path, "sendmail")))
    with log.signing():
        wait_until(lambda: log.is_confirmed("hook", 1), "nothing was sent")
    checkpoint = log.stored()
    assert checkpoint
    head, _, body = (tmp_path / "mail").read_bytes().partition(b"\n\n")
    assert head.split(b"\n")[0] == b"To: auditor@example.org"
    assert body == checkpoint.note
