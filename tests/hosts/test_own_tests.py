"""The tests of a host: they need neither a database nor a migration, and read what was recorded."""

import subprocess
import sys
from pathlib import Path

pytest_plugins = ["pytester"]

APP = """
from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy
from audit_service import LoginAudit, login_failed_signal, login_signal

db = SQLAlchemy()


def create_app():
    app = Flask(__name__)
    app.config.update(TESTING=True, PROPAGATE_EXCEPTIONS=False, SQLALCHEMY_DATABASE_URI="sqlite://")
    db.init_app(app)
    LoginAudit(app)

    @app.post("/enter")
    def enter():
        if request.form["password"] != "open sesame":
            login_failed_signal.send(app, username=request.form["name"], reason="bad_password")
            return "no", 401
        login_signal.send(app, username=request.form["name"])
        return "welcome"

    @app.get("/broken")
    def broken():
        raise ZeroDivisionError

    return app
"""
CONFTEST = """
import pytest
from app import create_app
from audit_service.testing import recorded  # noqa: F401


@pytest.fixture
def app():
    return create_app()
"""
TESTS = """
import pytest


@pytest.mark.parametrize("name", ["ada", "bob", "eve"])
def test_login(app, recorded, name):
    client = app.test_client()
    client.post("/enter", data={"name": name, "password": "guessed"})
    client.post("/enter", data={"name": name, "password": "open sesame"})
    client.get("/broken")
    assert [(event.username, event.outcome, event.reason) for event in recorded.logins] == [
        (name, "failure", "bad_password"), (name, "success", None)
    ]
    assert [event.exception_type for event in recorded.errors] == ["ZeroDivisionError"]
    assert recorded.admin_events == []
"""
FORK = """
import os, sys
from app import create_app
from audit_service.testing import Recorded

app = create_app()
if not (child := os.fork()):
    app.test_client().post("/enter", data={"name": "ada", "password": "open sesame"})
    sys.exit()
os.waitpid(child, 0)
app.test_client().post("/enter", data={"name": "bob", "password": "open sesame"})
print([event.username for event in Recorded(app).logins])
"""


def test_the_fixture_lists_what_was_recorded_in_each_test(pytester: object) -> None:
    folder = Path(pytester.path)  # type: ignore[attr-defined]
    for name, text in {"app.py": APP, "conftest.py": CONFTEST, "test_login.py": TESTS}.items():
        (folder / name).write_text(text)
    done = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-p", "no:xdist")  # type: ignore[attr-defined]
    done.assert_outcomes(passed=3)
    assert not (folder / "instance").exists()


def test_a_fork_that_ends_leaves_the_trail_to_its_parent(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    done = subprocess.run([sys.executable, "-c", FORK], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "['ada', 'bob']\n", done.stderr
