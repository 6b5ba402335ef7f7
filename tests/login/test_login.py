"""Logging in and out, in JSON and as a browser does."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from audit_service import LoginAudit, create_app, receivers
from audit_service.app import db
from audit_service.context import context_of
from audit_service.signals import login_failed_signal, login_signal, logout_signal
from audit_service.values.text import clean
from audit_service.vocabulary import Role
from tests.support.accounts import PASSWORD
from tests.support.logins import BROWSER, errors, log_in, logins

BAD_NAMES = ["a\x00b", "\ud800", "a\r\nb", "x" * 5000, "' OR 1=1 --"]

pytestmark = pytest.mark.usefixtures("accounts")


@pytest.fixture
def passwordless(config: dict[str, object]) -> None:
    """Ask for this before ``app``."""
    config["AUDIT_LOGIN"] = "passwordless"


@pytest.mark.parametrize("body", ["data", "json"])
def test_logging_in_answers_with_the_event_and_starts_a_session(app: Flask, client: FlaskClient, body: str) -> None:
    answer = client.post("/login/", **{body: {"username": "user", "password": PASSWORD}})
    (item,) = logins(app)
    assert answer.status_code == 200
    assert answer.json == {"message": "you are logged in", "username": "user", "event": str(item.id)}
    assert (item.username, item.outcome, item.method, item.remote_addr) == ("user", "success", "password", "127.0.0.1")
    assert client.get("/").json == {"username": "user", "role": "user"}
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


@pytest.mark.parametrize(
    ("username", "password", "reason"),
    [
        ("user", "wrong", "bad_password"),
        ("user", "", "bad_password"),
        ("user", "x" * 5000, "bad_password"),
        ("user", "\x00", "bad_password"),
        *((name, PASSWORD, "unknown_user") for name in ["nobody", *BAD_NAMES]),
    ],
)
def test_every_failure_has_one_text_and_one_event(
    app: Flask, client: FlaskClient, username: str, password: str, reason: str
) -> None:
    answer = client.post("/login/", json={"username": username, "password": password})
    assert (answer.status_code, answer.get_json()["detail"]) == (401, "wrong username or password")
    assert "Set-Cookie" not in answer.headers
    (item,) = logins(app)
    assert (item.outcome, item.reason, item.username) == ("failure", reason, clean(username, 255))


@pytest.mark.parametrize("username", ["", "   ", None])
@pytest.mark.parametrize("body", ["data", "json"])
@pytest.mark.parametrize("backend", ["sqlite"])  # refused before any database is asked
def test_a_missing_username_is_said_and_makes_no_event(
    app: Flask, client: FlaskClient, username: str | None, body: str
) -> None:
    fields = {"password": PASSWORD} if username is None else {"username": username, "password": PASSWORD}
    answer = client.post("/login/", **{body: fields})
    assert (answer.status_code, answer.get_json()["detail"]) == (400, "please enter a username")
    assert answer.get_json()["parameter"] == "username"
    assert logins(app) == []


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"json": ["not", "an", "object"]}, 400),
        ({"json": "text"}, 400),
        ({"json": {"username": 1, "password": PASSWORD}}, 400),
        ({"json": {"username": "user", "password": None}}, 400),
        ({"data": "{", "content_type": "application/json"}, 400),
        ({"data": b"\xff\xfe", "content_type": "application/json"}, 400),
        ({"data": "[" * 50_000, "content_type": "application/json"}, 400),
        ({"data": "<x/>", "content_type": "application/xml"}, 415),
        ({"data": "username=user", "content_type": "text/plain"}, 415),
        ({"data": {"username": "x" * 10_000_000}}, 413),
        ({"json": {"username": "x" * 10_000_000}}, 413),
    ],
)
@pytest.mark.parametrize("backend", ["sqlite"])  # refused before any database is asked
def test_bad_bodies(app: Flask, client: FlaskClient, sent: dict[str, Any], status: int) -> None:
    answer = client.post("/login/", **sent)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert answer.get_json()["status"] == status
    assert logins(app) == []


def test_a_browser_gets_pages(app: Flask, client: FlaskClient) -> None:
    assert "<form" in client.get("/login/").text
    refused = log_in(client, "<b>", "wrong", headers=BROWSER)
    assert refused.status_code == 401
    assert "wrong username or password" in refused.text
    assert "&lt;b&gt;" in refused.text
    assert log_in(client, "", headers=BROWSER).status_code == 400
    accepted = log_in(client, headers=BROWSER)
    assert (accepted.status_code, accepted.location) == (303, "/")
    assert "Your activity" in client.get("/", headers=BROWSER).text
    left = client.post("/logout/", headers=BROWSER)
    assert (left.status_code, left.location) == (303, "/login/")
    assert client.get("/", headers=BROWSER).location == "/login/"
    assert "nothing at this address" in client.get("/api/x", headers=BROWSER).get_json()["detail"]
    lost = client.get("/nowhere", headers=BROWSER)
    assert (lost.status_code, lost.mimetype) == (404, "text/html")
    assert "Error 404" in lost.text
    assert [item.action for item in reversed(logins(app))] == ["login", "login", "logout"]


def test_logging_out_is_recorded_once(app: Flask, client: FlaskClient) -> None:
    log_in(client)
    assert client.post("/logout/").get_json()["event"] == str(logins(app)[0].id)
    assert client.get("/").json == {"username": None, "role": None}
    assert client.post("/logout/").get_json()["event"] is None
    assert [item.action for item in logins(app)] == ["logout", "login"]


@pytest.mark.parametrize(
    ("disconnected", "receiver"),
    [
        (login_signal, receivers.on_login),
        (login_failed_signal, receivers.on_login_failed),
        (logout_signal, receivers.on_logout),
    ],
)
def test_without_the_receiver_there_is_no_success(
    app: Flask, client: FlaskClient, disconnected: Any, receiver: Any
) -> None:
    log_in(client)
    before = client.get("/").json
    disconnected.disconnect(receiver)
    try:
        with app.test_client() as fresh:
            if disconnected is logout_signal:
                answer = client.post("/logout/")
            else:
                answer = log_in(fresh, password=PASSWORD if disconnected is login_signal else "wrong")
    finally:
        receivers.connect()
    assert answer.status_code == 503
    assert "Set-Cookie" not in answer.headers
    assert client.get("/").json == before


def test_without_a_trail_there_is_no_success(app: Flask, client: FlaskClient) -> None:
    recorder = context_of(app).recorder
    recorder.spool_path, recorder.timeout = None, 1.0
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(text("DROP TABLE trail_head"))
    answer = log_in(client)
    assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
    assert log_in(client, headers=BROWSER).status_code == 503
    assert "Set-Cookie" not in answer.headers


@pytest.mark.usefixtures("passwordless")
class TestPasswordless:
    @pytest.fixture
    def accounts(self, passwordless: None, accounts: dict[Role, str]) -> dict[Role, str]:
        return accounts

    def test_the_start_prints_a_warning(self, config: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
        LoginAudit.close(create_app(config))
        assert "any name logs in without a password" in caplog.text

    def test_a_name_is_enough_but_gives_no_role(self, app: Flask, client: FlaskClient) -> None:
        answer = client.post("/login/", data={"username": "admin"})
        assert answer.status_code == 200
        assert [item.method for item in logins(app)] == ["passwordless"]
        assert client.get("/").json == {"username": "admin", "role": "user"}

    @pytest.mark.parametrize("username", BAD_NAMES[:-1])
    def test_a_name_that_cannot_be_stored_as_typed_is_denied(
        self, app: Flask, client: FlaskClient, username: str
    ) -> None:
        answer = client.post("/login/", json={"username": username})
        assert answer.status_code == 401
        assert [(item.outcome, item.reason) for item in logins(app)] == [("failure", "denied")]


def test_a_new_session_begins_with_each_login(client: FlaskClient) -> None:
    with client.session_transaction() as session:
        session["planted"] = "by somebody else"
    log_in(client)
    with client.session_transaction() as session:
        assert "planted" not in session


@pytest.mark.parametrize("path", ["/", "/login/", "/api/logins"])
def test_a_remember_cookie_is_not_read(client: FlaskClient, path: str) -> None:
    answer = client.get(path, headers={"Cookie": 'remember_token="1|\\303\\251"'})
    assert answer.status_code in (200, 401)


def test_an_error_event_names_the_user(app: Flask, client: FlaskClient) -> None:
    def fail() -> str:
        raise ValueError

    app.add_url_rule("/fail", view_func=fail)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    log_in(client)
    assert client.get("/fail").status_code == 500
    assert [item.username for item in errors(app)] == ["user"]


@pytest.mark.parametrize("mode", ["password", "passwordless"])
@pytest.mark.parametrize(
    "left_over",
    [
        {"username": "admin"},
        {"username": "admin", "key": "0" * 32},
        {"username": "admin", "key": None},
        {"username": "", "key": ""},
        {"username": 7, "key": 7},
        {"username": "admin", "key": "", "id": ""},
        {"username": "admin", "key": "", "seen": "now"},
    ],
    ids=str,
)
def test_a_left_over_cookie_is_no_session(
    make_app: Callable[..., Flask], accounts: dict[Role, str], mode: str, left_over: dict[str, object]
) -> None:
    client, now = make_app(AUDIT_LOGIN=mode).test_client(), int(time.time())
    with client.session_transaction() as session:
        session.update({"id": "f" * 32, "started": now, "seen": now} | left_over)
    assert client.get("/").json == {"username": None, "role": None}
