"""Running ``flask …`` in the folder of an app, as its developer does."""

import subprocess
import sys
from pathlib import Path

from tests.support.server import environment


def flask(folder: Path, *arguments: str, **settings: object) -> "subprocess.CompletedProcess[str]":
    """Run ``flask`` with *arguments* in *folder*, whose ``app.py`` is the app, with ``AUDIT_*`` *settings*."""
    return subprocess.run(
        [sys.executable, "-m", "flask", *arguments],
        cwd=folder,
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def succeed(folder: Path, *arguments: str, **settings: object) -> str:
    """Run it and return all that it prints."""
    done = flask(folder, *arguments, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
