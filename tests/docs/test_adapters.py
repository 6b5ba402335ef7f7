"""``docs/adapters.md``: each app runs as it stands on the page, in a folder of its own, and its logins are events."""

import re
import runpy
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from audit_service import LoginAudit
from audit_service.adapters.finding import ADAPTERS
from tests.support.oauth_provider import begin_login, running_provider
from tests.support.told import logins

PAGE = (Path(__file__).parents[2] / "docs/adapters.md").read_text()
APPS = dict(re.findall(r"^## ([^\n]+)\n.*?```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))
LONGEST = 30


@contextmanager
def running(section: str, folder: Path, trail: Path, patch: pytest.MonkeyPatch) -> Iterator[tuple[Flask, FlaskClient]]:
    shutil.copy(trail, folder / "audit.db")
    (folder / "app.py").write_text(APPS[section])
    patch.setenv("AUDIT_DATABASE_URL", f"sqlite:///{folder}/audit.db")
    patch.setenv("AUDIT_DATA_DIR", str(folder))
    patch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    app: Flask = runpy.run_path(str(folder / "app.py"), run_name="app")["app"]
    try:
        yield app, app.test_client()
    finally:
        LoginAudit.close(app)


def form(client: FlaskClient, path: str, **fields: str) -> None:
    """Send a form as a browser does, with the token that is in it."""
    found = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', client.get(path).text)
    assert found
    client.post(path, data={"csrf_token": found[1], **fields})


def log_in_by_flask_login(client: FlaskClient) -> None:
    client.post("/login", data={"name": "ada", "password": "wonderland"})
    client.post("/login", data={"name": "ada", "password": "wrong"})


def log_in_by_flask_security(client: FlaskClient) -> None:
    form(client, "/login", email="eve@example.com", password="wrong")
    form(client, "/login", email="ada@example.com", password="wonderland")


def log_in_by_flask_appbuilder(client: FlaskClient) -> None:
    form(client, "/login/", username="ada", password="wrong")
    form(client, "/login/", username="ada", password="wonderland")


def log_in_by_authlib(client: FlaskClient) -> None:
    client.get("/callback", query_string={"error": "access_denied", **begin_login(client, "/login")})
    client.get("/callback", query_string={"code": "good", **begin_login(client, "/login")})


def log_in_by_flask_dance(client: FlaskClient) -> None:
    for answer in ({"error": "access_denied"}, {"code": "good"}):
        state = begin_login(client, "/login/company")
        client.get("/login/company/authorized", query_string={**answer, **state})


def log_in_with_the_decorator(client: FlaskClient) -> None:
    for password in ("wonderland", "wrong"):
        client.post("/login", json={"username": "ada", "password": password})


Told = tuple[str, str | None, str, str | None]
CASES: dict[str, tuple[Callable[[FlaskClient], None], list[Told]]] = {
    "Flask-Login": (
        log_in_by_flask_login,
        [("success", None, "ada", None), ("failure", "bad_password", "ada", None)],
    ),
    "Flask-Security": (
        log_in_by_flask_security,
        [
            ("failure", "unknown_user", "eve@example.com", "password"),
            ("success", None, "ada@example.com", "password"),
        ],
    ),
    "Flask-AppBuilder": (
        log_in_by_flask_appbuilder,
        [("failure", "bad_password", "ada", "password"), ("success", None, "ada", "password")],
    ),
    "Authlib": (log_in_by_authlib, [("failure", "denied", "", "oauth"), ("success", None, "ada", "oauth")]),
    "Flask-Dance": (log_in_by_flask_dance, [("failure", "denied", "", "oauth"), ("success", None, "ada", "oauth")]),
    "Any other login": (
        log_in_with_the_decorator,
        [("success", None, "ada", "jwt"), ("failure", "bad_password", "ada", "jwt")],
    ),
}


@pytest.mark.parametrize("section", APPS)
def test_the_app_on_the_page_has_a_trail(
    section: str, tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in, expected = CASES[section]
    with running_provider() as provider:
        monkeypatch.setenv("PROVIDER", provider)
        with running(section, tmp_path, sqlite_template, monkeypatch) as (app, client):
            log_in(client)
            assert logins(app, "outcome", "reason", "username", "method") == expected


def test_the_apps_are_short() -> None:
    lengths = {section: len([line for line in code.splitlines() if line]) for section, code in APPS.items()}
    assert {section: length for section, length in lengths.items() if length > LONGEST} == {}


def test_every_adapter_is_on_the_page() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE) == list(ADAPTERS)
