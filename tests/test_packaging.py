"""The wheel: in an empty environment, without the repository, an app has its trail, and more comes with the extras."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_service.storage.schema import newest_revision
from tests.support.documents import DOCUMENTS

PROJECT = Path(__file__).parent.parent
PYTHONS = os.environ.get("AUDIT_TEST_PYTHONS", "").split() or [""]  # `make test-wheels` names them; else our own
SERVICE = ("argon2", "flask_sqlalchemy", "granian", "psycopg", "rfc3161_client", "uvloop", "zxcvbn")
Run = Callable[..., "subprocess.CompletedProcess[str]"]

APP = """
from flask import Flask, request
from audit_service import LoginAudit, login_signal

app = Flask(__name__)
app.secret_key = "x" * 16
LoginAudit(app)


@app.post("/enter")
def enter():
    login_signal.send(app, username=request.form["name"])
    return "welcome"
"""
ENTER = """
import time
started = time.process_time()
import audit_service
assert time.process_time() - started < 0.15  # seconds
from app import app
assert app.test_client().post("/enter", data={"name": "ada"}).text == "welcome"
print(audit_service.__file__)
"""


def uv() -> str:
    found = shutil.which("uv") or shutil.which(PROJECT / ".uv/bin/uv")
    assert found, "uv is neither on the PATH nor in .uv/bin: run the tests with 'make test'"
    return found


@pytest.fixture
def run(tmp_path: Path) -> Run:
    environ = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}

    def run(*command: str, code: int = 0, **settings: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            command, cwd=tmp_path, env={**environ, **settings}, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([uv(), "build", "--quiet", "--wheel", "--out-dir", str(folder), str(PROJECT)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(run: Run, what: str, python: str = "") -> None:
    run(uv(), "venv", "--quiet", *(["--python", python] if python else []), "venv")
    run(uv(), "pip", "install", "--quiet", "--compile-bytecode", "--python", "venv/bin/python", what)


@pytest.mark.parametrize("python", PYTHONS)
def test_an_app_in_an_empty_environment(run: Run, wheel: Path, tmp_path: Path, python: str) -> None:
    install(run, str(wheel), python)
    (tmp_path / "app.py").write_text(APP)
    flask = "venv/bin/flask"
    assert f"revision {newest_revision()} (was empty)" in run(flask, "audit", "migrate").stdout
    run("venv/bin/python", "-c", "import audit_service, app")  # what is imported once is compiled
    package = Path(run("venv/bin/python", "-W", "error", "-c", ENTER).stdout.strip()).parent
    assert package.is_relative_to(tmp_path)
    assert '"username":"ada"' in run(flask, "audit", "history").stdout
    for module in SERVICE:
        assert f"No module named '{module}'" in run("venv/bin/python", "-c", f"import {module}", code=1).stderr
    files = {str(path.relative_to(package)) for path in package.rglob("*.*")}
    assert {"py.typed", "login/templates/audit_login/login.html", "web/static/audit.css"} <= files
    assert {"pages/templates/audit_pages/logins.html", "web/translations/zh/LC_MESSAGES/messages.po"} <= files
    documents = [path.name for path in DOCUMENTS if path.name != "CONTRIBUTING.md" and "examples" not in path.parts]
    assert {name if name.isupper() or name[:-3].isupper() else f"docs/{name}" for name in documents} <= files
    command = "venv/bin/audit-service"
    assert run(command, "--help").stdout.endswith(f"  The documents are in\n  {package / 'docs'}\n")
    for arguments in (["setup"], ["serve"]):
        needs = run(command, *arguments, code=1).stderr
        assert "pip install 'audit-service[service]'" in needs, needs
    needs = run(command, "migrate", code=1, AUDIT_DATABASE_URL="postgresql://h/d").stderr
    assert "pip install 'audit-service[postgresql]'" in needs


def test_the_service_from_the_wheel(run: Run, wheel: Path, empty_database_url: str) -> None:
    install(run, f"{wheel}[service,postgresql]")
    settings = {"AUDIT_DATABASE_URL": empty_database_url, "AUDIT_SECRET_KEY": "x" * 16}
    made = run("venv/bin/audit-service", "setup", **settings).stdout
    assert f"revision {newest_revision()} (was empty)" in made
    assert "password" in made
    run("venv/bin/python", "-c", "from audit_service import create_app; create_app()", **settings)
