"""Where the trail of a host is, whatever database the host has, and how it is found there."""

import gc
import logging
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import flask_sqlalchemy_lite
import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import create_engine, inspect, make_url

from audit_service import LoginAudit, login_signal
from audit_service.context import context_of
from audit_service.errors import NotConfiguredError, SettingsError
from audit_service.storage import schema
from audit_service.storage.database import make_engine
from tests.support.databases import new_postgres_database
from tests.support.flask_commands import flask, succeed
from tests.support.host_app import history

APP = """
from flask import Flask, request
from audit_service import LoginAudit, login_signal

app = Flask(__name__)
app.secret_key = "x" * 16
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///shop.db"
LoginAudit(app{where})
"""


def host(folder: Path, **config: object) -> Flask:
    app = Flask("host", instance_path=str(folder))
    app.config.update(config)
    return app


def place_of(app: Flask, **arguments: object) -> str:
    LoginAudit(app, **arguments)  # type: ignore[arg-type]
    return context_of(app).recorder.identity.target


def psycopg(url: str) -> str:
    return url.replace("postgresql:", "postgresql+psycopg:")


def test_a_host_on_postgresql_keeps_its_trail_there(postgres_url: str, tmp_path: Path) -> None:
    """Its driver, its arguments and its own search path are no matter."""
    with new_postgres_database(postgres_url) as url:
        app = host(
            tmp_path,
            SQLALCHEMY_DATABASE_URI=url.replace("postgresql:", "postgresql+psycopg2:"),
            SECRET_KEY="the host's own",
            SQLALCHEMY_ENGINE_OPTIONS={"connect_args": {"options": "-c search_path=tenant", "connect_timeout": 1}},
        )
        LoginAudit(app)
        assert "(was empty)" in app.test_cli_runner().invoke(args=["audit", "migrate"]).output
        login_signal.send(app, username="ada")
        assert [item["username"] for item in history(app)] == ["ada"]
        LoginAudit.close(app)
        engine = create_engine(psycopg(url))
        assert "login_events" in inspect(engine).get_table_names(schema="login_audit")
        assert inspect(engine).get_table_names() == []
        engine.dispose()
        assert list(tmp_path.glob("*.db")) in ([], [tmp_path / "spool.db"])


def test_hosts_with_other_libraries_and_databases(tmp_path: Path) -> None:
    ours = f"sqlite:///{tmp_path}/audit.db"
    plain = host(tmp_path)
    lite = host(tmp_path, SQLALCHEMY_ENGINES={"default": "sqlite:///shop.db"})
    flask_sqlalchemy_lite.SQLAlchemy(lite)
    usual = host(tmp_path, SQLALCHEMY_DATABASE_URI="sqlite:///shop.db")
    SQLAlchemy(usual)
    binds = host(tmp_path, SQLALCHEMY_BINDS={"stock": "sqlite:///stock.db"})
    SQLAlchemy(binds)
    not_importable = host(tmp_path, SQLALCHEMY_DATABASE_URI="mysql+nothing://u@h/shop")
    for app in (plain, lite, usual, binds, not_importable):
        assert place_of(app) == ours
        LoginAudit.close(app)
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db")
    own = host(tmp_path)
    assert place_of(own, engine=engine) == ours
    LoginAudit.close(own)


def test_before_flask_sqlalchemy_is_as_good_as_after(tmp_path: Path) -> None:
    app = host(tmp_path, SQLALCHEMY_DATABASE_URI="sqlite:///shop.db")
    LoginAudit(app)
    SQLAlchemy(app)
    app.test_cli_runner().invoke(args=["audit", "migrate"])
    login_signal.send(app, username="ada")
    assert [item["username"] for item in history(app)] == ["ada"]
    LoginAudit.close(app)


def test_a_database_that_is_named_too_late_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = host(tmp_path)
    LoginAudit(app)
    app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql://127.0.0.1:1/shop"
    app.test_client().get("/")
    app.test_client().get("/")
    said = [line for line in caplog.messages if "was named after LoginAudit(app)" in line]
    assert len(said) == 1
    assert f"the trail is at sqlite:///{tmp_path}/audit.db all the same. Name it before" in said[0]
    LoginAudit.close(app)


def test_a_named_database_comes_before_the_apps_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for own in ("postgresql://127.0.0.1:1/shop", "mysql+nothing://u@h/shop", "sqlite:///shop.db"):
        monkeypatch.setenv("AUDIT_DATABASE_URL", f"sqlite:///{tmp_path}/by_setting.db")
        app = host(tmp_path, SQLALCHEMY_DATABASE_URI=own)
        assert place_of(app) == f"sqlite:///{tmp_path}/by_setting.db"
        LoginAudit.close(app)
        app = host(tmp_path, SQLALCHEMY_DATABASE_URI=own)
        assert place_of(app, url="sqlite:///by_url.db") == f"sqlite:///{tmp_path}/by_url.db"  # in the instance folder
        LoginAudit.close(app)


def test_a_database_that_cannot_hold_the_trail_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"needs postgresql:// .* not mysql://"):
        LoginAudit(host(tmp_path), url="mysql://u@h/shop")
    monkeypatch.setattr("audit_service.storage.database.find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"pip install 'audit-service\[postgresql\]'.*LoginAudit\(app, url="):
        LoginAudit(host(tmp_path, SQLALCHEMY_DATABASE_URI="postgresql+psycopg2://h/shop"))


def test_the_hosts_own_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE product (id INTEGER)")
    connection.close()
    before = path.read_bytes()
    app = host(tmp_path, SQLALCHEMY_DATABASE_URI="sqlite:///shop.db")
    db = SQLAlchemy(app)
    LoginAudit(app)
    app.test_cli_runner().invoke(args=["audit", "migrate"])
    login_signal.send(app, username="ada")
    assert len(history(app)) == 1
    with app.app_context():
        assert db.session.connection().exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
    LoginAudit.close(app)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.glob("shop.db*")] == ["shop.db"]


def test_a_trail_that_is_not_migrated_is_said_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = host(tmp_path)
    LoginAudit(app)
    (said,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "run 'audit-service migrate' ('flask audit migrate' in an app with LoginAudit)" in said.getMessage()
    assert f"sqlite:///{tmp_path}/audit.db" in said.getMessage()
    LoginAudit.close(app)


@pytest.mark.parametrize("is_there", [False, True], ids=["no file", "an empty file"])
def test_the_answers_of_a_trail_that_is_not_migrated_say_so(tmp_path: Path, is_there: bool) -> None:
    if is_there:
        (tmp_path / "audit.db").touch()
    app = host(tmp_path)
    LoginAudit(app)
    answer = app.test_client().get("/api/logins", headers={"Authorization": "Bearer x"})
    assert answer.status_code == 503
    assert "'flask audit migrate'" in answer.get_json()["detail"]
    LoginAudit.close(app)


def test_the_commands_name_the_database_that_they_work_on(tmp_path: Path) -> None:
    """Also a SQLite file of the app's own, which has its place in the instance folder."""
    (tmp_path / "app.py").write_text(APP.format(where=""))
    place = f"sqlite:///{tmp_path}/instance/audit.db"
    assert f"{place} is at revision {schema.newest_revision()} (was empty)" in succeed(tmp_path, "audit", "migrate")
    made = succeed(tmp_path, "audit", "tokens", "add", "--scope", "read", "--name", "x")
    assert f"changed in the database {place}" in made
    assert succeed(tmp_path, "audit", "history") == "there is no event yet\n"  # and no AUDIT_SECRET_KEY is asked for
    status = succeed(tmp_path, "audit", "status")
    for part in (place, schema.newest_revision(), "login, login-failed, logout", "read tokens", "0 waiting"):
        assert part in status, status


def test_a_file_outside_the_data_folder_is_made_when_that_is_meant(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "app.py").write_text(APP.format(where=f", url='sqlite:///{tmp_path}/elsewhere.db'"))
    asked = flask(folder, "audit", "migrate")
    assert (asked.returncode, f"There is no file {tmp_path}/elsewhere.db" in asked.stderr) == (1, True)
    assert not (tmp_path / "elsewhere.db").exists()
    assert "(was empty)" in succeed(folder, "audit", "migrate", "--yes")


def test_a_signal_in_an_app_without_login_audit_raises() -> None:
    app = Flask("forgetful")

    @app.post("/enter")
    def enter() -> str:
        login_signal.send(app, username="ada")
        return "welcome"

    with pytest.raises(NotConfiguredError, match=r"'forgetful' has no audit trail: call LoginAudit\(app\)"):
        login_signal.send(app, username="ada")
    assert app.test_client().post("/enter").status_code == 500


def test_the_log_names_the_line_of_a_view_that_has_not_committed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = host(tmp_path, SQLALCHEMY_DATABASE_URI="sqlite:///shop.db", AUDIT_WRITE_TIMEOUT=0.4)
    db = SQLAlchemy(app)
    LoginAudit(app, url="sqlite:///shop.db")
    app.test_cli_runner().invoke(args=["audit", "migrate"])
    caplog.clear()
    with app.app_context():
        db.session.connection().exec_driver_sql("CREATE TABLE product (id INTEGER)")
        db.session.commit()
        login_signal.send(app, username="ada")  # nothing is written: nothing is said
        assert caplog.messages == []
        for _ in range(2):
            db.session.connection().exec_driver_sql("INSERT INTO product VALUES (1)")
            login_signal.send(app, username="bob")
            line = login_signal_line()
            db.session.commit()
    said = [message for message in caplog.messages if "an event has waited" in message]
    assert len(said) == 1
    assert f"Move {__file__}:{line - 1} below the commit" in said[0]
    LoginAudit.close(app)


def login_signal_line() -> int:
    import sys  # noqa: PLC0415

    frame = sys._getframe().f_back
    assert frame
    return frame.f_lineno


def test_several_apps_do_not_mix(tmp_path: Path) -> None:
    apps = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        app = Flask(name, instance_path=str(tmp_path / name))
        LoginAudit(app)
        app.test_cli_runner().invoke(args=["audit", "migrate"])
        apps.append(app)
    for app in apps:
        with app.test_request_context():
            login_signal.send(username=app.name)  # of the current app
        login_signal.send(app, username=f"{app.name} again")
    for app in apps:
        assert [item["username"] for item in history(app)] == [f"{app.name} again", app.name]
        LoginAudit.close(app)


def test_a_temporary_trail_is_migrated_and_vanishes(tmp_path: Path) -> None:
    """Of an app that is tested, or that has its own data in memory."""
    for config in ({"TESTING": True}, {"SQLALCHEMY_DATABASE_URI": "sqlite://"}):
        app = host(tmp_path, **config)
        LoginAudit(app)
        login_signal.send(app, username="ada")
        assert [item["username"] for item in history(app)] == ["ada"]
        folder = context_of(app).settings.data_path
        assert folder.exists()
        del app
        gc.collect()
        assert not folder.exists()
        assert not {"audit-writer", "audit-keeper"} & {thread.name for thread in threading.enumerate()}
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_may_lose_events_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    LoginAudit(host(tmp_path, TESTING=True, AUDIT_UNAVAILABLE="allow"))
    assert "logins go on when they cannot be recorded, and are then lost (AUDIT_UNAVAILABLE=allow)" in caplog.text


def test_a_forked_process_leaves_the_temporary_trail(tmp_path: Path) -> None:
    code = "import app, os, sys; pid = os.fork(); pid or sys.exit(); os.waitpid(pid, 0); print(app.left())"
    (tmp_path / "app.py").write_text(
        "from flask import Flask\n"
        "from audit_service import LoginAudit\n"
        "from audit_service.context import context_of\n"
        "app = Flask('app')\napp.testing = True\nLoginAudit(app)\n"
        "def left():\n    return context_of(app).settings.data_path.exists()\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout == "True\n"


def test_the_template_of_temporary_trails_is_migrated_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema.copy_template(tmp_path / "first.db")
    monkeypatch.setattr(schema, "migrate", None)  # it is not needed again
    schema.copy_template(tmp_path / "second.db")
    engine = make_engine(make_url(f"sqlite:///{tmp_path}/second.db"))
    assert schema.current_revision(engine) == schema.newest_revision()
    engine.dispose()


@pytest.mark.parametrize("url", ["a secret", "postgresql://ada:a@sec:ret@localhost/shop"])
def test_a_url_that_is_none_is_refused_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match=r"^AUDIT_DATABASE_URL must be a postgresql:// or sqlite:/// URL$"):
        LoginAudit(host(tmp_path), url=url)
