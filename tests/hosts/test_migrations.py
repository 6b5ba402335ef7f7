"""A host with Flask-Migrate: its migrations do not see the trail."""

import re
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import create_engine, inspect

from audit_service import LoginAudit, include_name
from audit_service.operations.host_migrations import migration_fault
from audit_service.storage.schema import VERSION_TABLE
from tests.support.databases import new_postgres_database
from tests.support.flask_commands import flask, succeed

APP = """
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from audit_service import LoginAudit, include_name

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = {url!r}
db = SQLAlchemy(app)
Migrate(app, db{hook})
LoginAudit(app{where})


class Product(db.Model):
    id = db.Column(db.Integer, primary_key=True)
"""
MORE = "    name = db.Column(db.String(80))\n"
HOOK = ", include_name=include_name"


def app_in(folder: Path, url: str, *, hook: str = "", where: str = "") -> None:
    (folder / "app.py").write_text(APP.format(url=url, hook=hook, where=where))


def revisions(folder: Path) -> str:
    return "".join(path.read_text() for path in (folder / "migrations" / "versions").glob("*.py"))


def walk(folder: Path) -> None:
    """All that Flask-Migrate does in the life of an app, with the trail there from the start."""
    assert "(was empty)" in succeed(folder, "audit", "migrate", "--yes")
    succeed(folder, "db", "init")
    succeed(folder, "db", "migrate", "-m", "first")
    succeed(folder, "db", "upgrade")
    assert "No new upgrade operations detected" in succeed(folder, "db", "check")
    with (folder / "app.py").open("a") as file:
        file.write(MORE)
    succeed(folder, "db", "migrate", "-m", "second")
    succeed(folder, "db", "upgrade")
    succeed(folder, "db", "check")
    upgrades = re.sub(r"def downgrade.*?(?=\"\"\"|\Z)", "", revisions(folder), flags=re.DOTALL)
    assert "drop_" not in upgrades
    assert set(re.findall(r"(?:create|drop)_table\('(\w+)'", revisions(folder))) == {"product"}
    succeed(folder, "db", "downgrade", "base")
    assert "the newest" in succeed(folder, "audit", "status")


def test_on_postgresql_in_a_schema_of_its_own(postgres_url: str, tmp_path: Path) -> None:
    with new_postgres_database(postgres_url) as url:
        app_in(tmp_path, url.replace("postgresql:", "postgresql+psycopg:"))
        walk(tmp_path)
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        assert inspect(engine).get_table_names() == ["alembic_version"]
        assert VERSION_TABLE in inspect(engine).get_table_names(schema="login_audit")
        engine.dispose()


def test_on_sqlite_in_a_file_of_its_own(tmp_path: Path) -> None:
    app_in(tmp_path, "sqlite:///shop.db")
    walk(tmp_path)


def test_on_sqlite_in_the_apps_own_file_by_choice(tmp_path: Path) -> None:
    app_in(tmp_path, "sqlite:///shop.db", hook=HOOK, where=", url='sqlite:///shop.db'")
    walk(tmp_path)


def test_on_postgresql_among_the_apps_own_tables_by_choice(postgres_url: str, tmp_path: Path) -> None:
    with new_postgres_database(postgres_url) as url:
        app_in(tmp_path, url.replace("postgresql:", "postgresql+psycopg:"), hook=HOOK, where=f", url={url!r}")
        walk(tmp_path)


def test_without_the_line_the_commands_and_the_log_name_it(tmp_path: Path) -> None:
    app_in(tmp_path, "sqlite:///shop.db", where=", url='sqlite:///shop.db'")
    for command in (["migrate", "--yes"], ["status"]):
        assert "Migrate(app, db, include_name=include_name)" in succeed(tmp_path, "audit", *command)
    succeed(tmp_path, "db", "init")
    assert "drop_table" in succeed(tmp_path, "db", "migrate") + revisions(tmp_path)  # so it is right to warn
    assert flask(tmp_path, "db", "check").returncode != 0


def host(folder: Path, **arguments: object) -> Flask:
    app = Flask("host", instance_path=str(folder))
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///shop.db"
    db = SQLAlchemy(app)
    LoginAudit(app, url="sqlite:///shop.db")
    Migrate(app, db, **arguments)
    return app


@pytest.mark.parametrize(
    ("arguments", "is_reported"),
    [
        ({}, True),
        ({"include_name": include_name}, False),
        ({"include_name": lambda _name, _type, _parents: True}, True),
        ({"include_object": lambda _item, name, *_: name != "trail_head"}, False),
        ({"include_object": lambda *_: 1 / 0}, True),
    ],
    ids=["none", "ours", "of all", "an object hook", "a broken one"],
)
def test_a_hook_of_the_app_is_tried(
    tmp_path: Path,
    arguments: dict[str, object],
    is_reported: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # where Flask-Migrate looks for an env.py
    app = host(tmp_path, **arguments)
    assert (migration_fault(app) is not None) == is_reported
    app.test_client().get("/")
    assert any("would drop the tables of the audit trail" in line for line in caplog.messages) == is_reported
    LoginAudit.close(app)
