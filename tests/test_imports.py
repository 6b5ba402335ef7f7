"""What an app with the extension imports, and what it can do without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent

IMPORT = """
import sys
import audit_service
heavy = {"alembic", "flask", "flask_sqlalchemy", "sqlalchemy"} & sys.modules.keys()
assert not heavy, heavy
for name in audit_service.__all__:
    if name != "create_app":
        getattr(audit_service, name)
heavy = {"argon2", "flask_sqlalchemy", "granian", "psycopg", "zxcvbn"} & sys.modules.keys()
assert not heavy, heavy
"""

WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(("argon2", "granian", "psycopg", "uvloop", "zxcvbn")))
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase
from audit_service import LoginAudit, Role, Viewer, login_signal

class Base(DeclarativeBase):
    pass

app = Flask("host")
app.config["SQLALCHEMY_DATABASE_URI"] = sys.argv[1]
SQLAlchemy(app, model_class=Base)
LoginAudit(app, session_viewer=lambda: Viewer(name="eve", role=Role.AUDITOR))

@app.post("/enter")
def enter() -> str:
    login_signal.send(app, username="ada")
    return "welcome"

client = app.test_client()
assert client.post("/enter").text == "welcome"
for path in ("/api/logins", "/api/logins.csv", "/api/logins/summary?by=username", "/api/logins/last?username=ada"):
    answer = client.get(path)
    assert (answer.status_code, "ada" in answer.text) == (200, True), (path, answer.text)
with app.app_context():
    app.extensions["sqlalchemy"].session().connection().exec_driver_sql("ALTER TABLE login_events RENAME TO elsewhere")
assert client.get("/api/logins").status_code == 503
"""


def run(tmp_path: Path, code: str, *arguments: str) -> None:
    environ = {**os.environ, "AUDIT_DATA_DIR": str(tmp_path), "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_nothing_is_imported_that_most_apps_never_use(tmp_path: Path) -> None:
    run(tmp_path, IMPORT)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_an_app_on_sqlite_needs_nothing_of_the_service_nor_of_postgresql(database_url: str, tmp_path: Path) -> None:
    run(tmp_path, WITHOUT, database_url)
