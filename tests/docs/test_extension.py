"""docs/extension.md: what it shows runs as it stands on the page."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, session
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

from audit_service import LoginAudit, login_signal
from audit_service.operations.host_migrations import migration_fault
from audit_service.testing import Recorded
from tests.support.documents import blocks, section
from tests.support.examples import started_example
from tests.support.flask_commands import succeed

PAGE = "docs/extension.md"
pytest_plugins = ["pytester"]


def code(heading: str) -> list[str]:
    return blocks(section(PAGE, heading), "python")


def test_five_minutes(tmp_path: Path) -> None:
    (app,) = code("Five minutes")
    (tmp_path / "app.py").write_text(app)
    migrate, run, curl, history = blocks(section(PAGE, "Five minutes"))[0].splitlines()
    succeed(tmp_path, *migrate.split()[1:])
    with started_example(run, tmp_path, tmp_path / "output", {}) as example:
        words = curl.replace("http://127.0.0.1:8004", example.url).replace('"', "").split()
        for data in ("username=ada&password=guessed", "username=ada&password=open sesame"):
            answer = subprocess.run(
                [words[0], "-sS", "-d", data, words[-1]], capture_output=True, text=True, check=True
            )
            assert answer.stdout in ("wrong username or password", "welcome, ada")
    listed = succeed(tmp_path, *history.split()[1:])
    assert [listed.count(f'"outcome":"{outcome}"') for outcome in ("failure", "success")] == [1, 1]


def test_an_event_outside_of_a_request(app: Flask) -> None:
    LoginAudit(app)
    (block,) = code("What is recorded")
    exec(block, {"app": app, "login_signal": login_signal})
    assert [(login.username, login.method, login.remote_addr) for login in Recorded(app).logins] == [
        ("ada", "console", None)
    ]
    LoginAudit.close(app)


def test_the_tests_of_an_app(pytester: Any) -> None:
    for name, text in zip(("shop.py", "conftest.py", "test_shop.py"), code("Tests of your app"), strict=True):
        (pytester.path / name).write_text(text)
    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-p", "no:xdist").assert_outcomes(passed=1)


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    app = Flask("host", instance_path=str(tmp_path))
    app.config.update(TESTING=True, PROPAGATE_EXCEPTIONS=False, SECRET_KEY="x" * 16)

    @app.get("/log-in")
    def log_in() -> str:
        session.update(is_admin=True, name="eve")
        return "welcome"

    @app.get("/broken")
    def broken() -> str:
        raise ZeroDivisionError

    return app


def test_sessions_that_may_read(app: Flask) -> None:
    (viewer,) = code("Who may read")
    exec(viewer, {"app": app})
    client = app.test_client()
    assert client.get("/api/logins").status_code == 401
    client.get("/log-in")
    assert client.get("/api/logins").status_code == 200
    LoginAudit.close(app)


def test_a_broken_session_viewer_opens_nothing(app: Flask) -> None:
    LoginAudit(app, session_viewer=lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    assert app.test_client().get("/api/logins").status_code == 500
    assert [error.exception_type for error in Recorded(app).errors] == ["ZeroDivisionError"]
    LoginAudit.close(app)


def test_the_callables_change_what_is_recorded(app: Flask) -> None:
    (callables,) = code("Callables")
    exec(callables, {"app": app})
    login_signal.send(app, username="health-check")
    login_signal.send(app, username="Ada")
    app.test_client().get("/broken", headers={"X-User": "Bob"})
    recorded = Recorded(app)
    assert [login.username for login in recorded.logins] == ["ada"]
    assert [error.username for error in recorded.errors] == ["bob"]
    assert LoginAudit.counters(app).excluded == 1
    LoginAudit.close(app)


@pytest.mark.parametrize("name", ["identify", "exclude", "transform"])
def test_a_callable_that_raises_loses_no_event(app: Flask, name: str) -> None:
    def broken(_: object) -> Any:
        raise LookupError

    callables: dict[str, Any] = {name: broken}
    LoginAudit(app, **callables)
    login_signal.send(app, username="Ada")
    app.test_client().get("/broken")
    recorded = Recorded(app)
    assert [login.username for login in recorded.logins] == ["Ada"]
    errors = [error.exception_type for error in recorded.errors]
    assert "LookupError" in errors
    assert "ZeroDivisionError" in errors
    LoginAudit.close(app)


def test_the_line_for_flask_migrate(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app.config.update(TESTING=False, SQLALCHEMY_DATABASE_URI="sqlite:///shop.db")
    db = SQLAlchemy(app)
    LoginAudit(app, url="sqlite:///shop.db")
    (line,) = code("Migrations of your app")
    exec(line, {"app": app, "db": db, "Migrate": Migrate})
    assert migration_fault(app) is None
    LoginAudit.close(app)
