"""``flask audit signals`` and ``AUDIT_TRACE_SIGNALS``, in processes of their own: a trace is not taken back."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documents import PROJECT, blocks, section
from tests.support.server import environment

APP = """
from blinker import Namespace, signal
from flask import Flask, render_template_string
from flask_login import LoginManager
from audit_service import LoginAudit

app = Flask(__name__)
app.secret_key = "a key for tests"
own = Namespace()
cooked = own.signal("cooked")
kept = signal("of-the-default-namespace")
awaited = own.signal("awaited")
LoginManager(app).user_loader(lambda user_id: None)


@cooked.connect_via(app)
def of_this_app(sender, **more):
    pass


@cooked.connect_via("ada")
def of_ada(sender, **more):
    pass


@awaited.connect
async def later(sender, **more):
    pass


@app.get("/")
def page():
    cooked.send(app, dish="hunter2")
    cooked.send("hunter2", dish="hunter2")
    cooked.send(dish="hunter2")
    return render_template_string("{{ 1 }}", password="hunter2")


audit = LoginAudit(app)
"""
ASK = """
import asyncio
from app import app, awaited
app.test_client().get("/?password=hunter2")
asyncio.run(awaited.send_async(None))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def run(folder: Path, *command: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    environ = {**environment({"AUDIT_DATA_DIR": folder / "data", **settings}), "PYTHONPATH": f"{PROJECT}:{folder}"}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_list_has_all_signals_and_their_receivers(folder: Path) -> None:
    heading, *lines = run(folder, "-m", "flask", "--app", "app", "audit", "signals").stdout.splitlines()
    (shown,) = [
        block for block in blocks(section("docs/signals.md", "Looking at an app"), "text") if "receivers" in block
    ]
    assert heading.split() == ["module", "signal", "receivers"]
    rows = [line.split(maxsplit=2) for line in lines]
    documented = [line.split() for line in shown.splitlines()[1:]]
    of_these = [row for row in rows if row[0] in ("audit_service.signals", "flask.signals")]
    assert of_these[: len(documented)] == documented
    assert len([row for row in rows if row[0] == "flask.signals"]) == 10
    assert ["flask.signals", "got-request-exception", "audit_service.receivers.on_exception"] in rows
    assert ["flask_login.signals", "logged-in", "audit_service.adapters.flask_login.on_logged_in"] in rows
    assert ["flask_login.signals", "unauthorized", "-"] in rows
    assert ["blinker", "of-the-default-namespace", "-"] in rows
    place = rows.index(["app", "cooked", "app.of_ada (of another sender)"])
    assert lines[place + 1].split() == ["app.of_this_app", "(of", "this", "app)"]


def test_the_trace_has_each_signal_and_no_values(folder: Path) -> None:
    lines = run(folder, "-c", ASK, AUDIT_TRACE_SIGNALS="on").stderr.splitlines()
    traced = [line.partition(" in signals: ")[2] for line in lines if " in signals: " in line]
    app = "from <Flask 'app'>:"
    assert traced == [
        f"flask.signals appcontext-pushed {app} no arguments",
        f"flask.signals request-started {app} no arguments",
        f"app cooked {app} dish",
        "app cooked from a str: dish",
        "app cooked from None: dish",
        f"flask_login.signals accessed {app} no arguments",
        f"flask.signals before-render-template {app} context, template",
        f"flask.signals template-rendered {app} context, template",
        f"flask.signals request-finished {app} response",
        f"flask.signals request-tearing-down {app} exc",
        f"flask.signals appcontext-tearing-down {app} exc",
        f"flask.signals appcontext-popped {app} no arguments",
    ]
    assert "hunter2" not in "\n".join(lines)
    shown = blocks(section("docs/signals.md", "Looking at an app"), "text")[1]
    assert shown.strip() in traced


def test_without_the_setting_nothing_is_traced(folder: Path) -> None:
    assert not re.search("flask.signals", run(folder, "-c", ASK).stderr)
