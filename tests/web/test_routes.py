"""Addresses: each answers itself, and none sends a client elsewhere with what it has sent."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from audit_service.vocabulary import Role
from tests.support.accounts import PASSWORD
from tests.support.host_app import close_host, create_host
from tests.support.logins import BROWSER, logins

OURS = ("audit_api", "audit_login", "audit_metrics", "healthz", "readyz")


@pytest.fixture
def host(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """A foreign app with an address of its own that ends with a slash."""
    monkeypatch.setenv("AUDIT_DATA_DIR", str(tmp_path))
    app = create_host(database_url)
    app.add_url_rule("/own/", view_func=lambda: "the host's", endpoint="own")
    yield app
    close_host(app)


def ask(client: FlaskClient, method: str, path: str) -> TestResponse:
    """Send a request for exactly this path."""
    environ = {"PATH_INFO": path}
    return client.open("/", method=method, headers=BROWSER, environ_overrides=environ, buffered=True)


def spellings(path: str) -> set[str]:
    """*path* with a slash more or less at each place that has one, and at its end."""
    doubled = {path[:place] + "/" + path[place:] for place, letter in enumerate(path) if letter == "/"}
    return {path, f"{path}/", path.rstrip("/") or "/", *doubled, path.replace("/", "///")}


def assert_no_address_redirects(app: Flask) -> None:
    asked = 0
    for rule in app.url_map.iter_rules():
        if rule.endpoint.partition(".")[0] not in OURS:
            continue
        path = rule.rule.replace("<event_id>", "1").replace("<name>", "not-found")
        for spelling in spellings(path.replace("<path:filename>", "audit.css").replace("<path:_path>", "x/y")):
            for method in (rule.methods or set()) - {"OPTIONS"}:
                answer = ask(app.test_client(), method, spelling)
                where = (method, spelling, answer.status_code, answer.headers.get("Location"))
                assert answer.status_code not in (301, 302, 307, 308), where
                assert answer.headers.get("Location", "/").startswith("/"), where
                assert not answer.headers.get("Location", "/").startswith("//"), where
                asked += 1
    assert asked > 100


@pytest.mark.parametrize("backend", ["sqlite"])  # the router knows no database
def test_no_address_redirects_to_another_spelling_of_it(app: Flask) -> None:
    assert_no_address_redirects(app)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_in_a_host_app_only_its_own_addresses_redirect(host: Flask) -> None:
    assert_no_address_redirects(host)
    for path in ("/own", "/own//"):
        answer = ask(host.test_client(), "GET", path)
        assert (path, answer.status_code, answer.location) == (path, 308, "http://localhost/own/")


def test_without_its_slash_an_address_answers_itself(
    app: Flask, client: FlaskClient, accounts: dict[Role, str]
) -> None:
    right = {"username": "user", "password": PASSWORD}
    assert client.post("/login", data=right).status_code == 200
    new = {"current_password": PASSWORD, "new_password": "another horse, another battery"}
    assert client.post("/account/password", data=new).status_code == 200
    assert client.post("/logout").get_json()["message"] == "you are logged out"
    shown = [client.get("/login"), client.get("/account/password")]
    assert [answer.status_code for answer in shown] == [200, 303]
    assert [item.action for item in logins(app)] == ["logout", "login"]
