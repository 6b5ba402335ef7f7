"""Sessions: their cookie, how long they live, and what ends them."""

import hashlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
import time_machine
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from itsdangerous.encoding import base64_decode, base64_encode
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from audit_service.access import accounts as service
from audit_service.app import db
from audit_service.context import context_of
from audit_service.events.admin import ADMIN_EVENTS, AdminFilters, AdminItem
from audit_service.history.query import list_events
from audit_service.history.question import Question
from audit_service.signals import login_signal
from audit_service.storage.models import Account, EndedSession
from audit_service.vocabulary import AdminAction, Role
from tests.support.accounts import ACTOR, PASSWORD
from tests.support.logins import BROWSER, log_in, logins

HTTPS = "https://localhost"
NEW_PASSWORD = "another horse, another battery"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def name_of(client: FlaskClient, **more: Any) -> str | None:
    name: str | None = client.get("/", **more).get_json()["username"]
    return name


def cookie_of(client: FlaskClient) -> str:
    cookie = client.get_cookie("audit_session")
    assert cookie is not None
    return cookie.value


def with_cookie(app: Flask, value: str) -> FlaskClient:
    """A browser with a copy of somebody's cookie."""
    client = app.test_client()
    client.set_cookie("audit_session", value)
    return client


def content_of(value: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(base64_decode(value.split(".", maxsplit=1)[0]))
    return content


def admin_events(app: Flask, action: AdminAction) -> list[AdminItem]:
    with app.app_context():
        items = list_events(db.session(), Question(kind=ADMIN_EVENTS, filters=AdminFilters()), limit=100)[0]
    return [item for item in items if item.action == action]


@pytest.fixture
def make_app(accounts: dict[Role, str], make_app: Callable[..., Flask]) -> Callable[..., Flask]:
    """With the accounts on their database."""
    return make_app


@pytest.mark.parametrize(
    ("setting", "base_url", "is_secure"),
    [
        ("auto", "http://localhost", False),
        ("auto", HTTPS, True),
        ("on", "http://localhost", True),
        ("on", HTTPS, True),
    ],
)
def test_the_cookie_is_as_strict_as_the_request_allows(
    make_app: Callable[..., Flask], setting: str, base_url: str, is_secure: bool
) -> None:
    client = make_app(AUDIT_COOKIE_SECURE=setting).test_client()
    for answer in (log_in(client, base_url=base_url), client.post("/logout/", base_url=base_url)):
        assert answer.status_code == 200
        (line,) = answer.headers.getlist("Set-Cookie")
        pair, *attributes = line.split("; ")
        assert pair.split("=")[0] == ("__Host-audit_session" if is_secure else "audit_session")
        expected = {"HttpOnly", "SameSite=Lax", "Path=/", *(["Secure"] if is_secure else [])}
        assert {each for each in attributes if not each.startswith(("Expires", "Max-Age"))} == expected
    assert "Max-Age=0" in attributes  # the logout takes the cookie away
    assert pair.split("=")[1] == ""


def test_the_cookie_ends_with_the_browser_and_holds_no_secret(client: FlaskClient, accounts: dict[Role, str]) -> None:
    (line,) = log_in(client).headers.getlist("Set-Cookie")
    assert "Expires" not in line
    assert "Max-Age" not in line
    content = json.dumps(content_of(cookie_of(client)))
    assert PASSWORD not in content
    assert "argon2" not in content


def test_a_cookie_of_http_is_no_session_on_https(client: FlaskClient, accounts: dict[Role, str]) -> None:
    log_in(client)
    assert name_of(client) == "user"
    assert name_of(client, base_url=HTTPS) is None


def test_without_a_session_there_is_no_cookie(client: FlaskClient, accounts: dict[Role, str]) -> None:
    requests = [client.get("/"), client.get("/login/"), client.get("/nowhere"), log_in(client, "nobody")]
    assert [answer.headers.getlist("Set-Cookie") for answer in requests] == [[]] * 4


def alive_after(app: Flask, *steps: int) -> list[bool]:
    """Log in, make a request after each number of seconds, and tell whether it had a session."""
    client = app.test_client()
    with time_machine.travel(NOON, tick=False) as clock:
        assert log_in(client).status_code == 200
        alive = []
        for seconds in steps:
            clock.shift(seconds)
            alive.append(name_of(client) == "user")
        return alive


LIFETIMES = [
    # defaults: 30 minutes idle, 12 hours in all
    ({}, [1800], [True]),
    ({}, [1801], [False]),
    ({}, [1801, 1], [False, False]),
    ({}, [1200] * 5, [True] * 5),
    ({}, [1200, 1801], [True, False]),
    ({}, [1800] * 25, [True] * 24 + [False]),  # requests never renew the life-time
    ({"AUDIT_SESSION_IDLE": 600}, [600, 600, 601], [True, True, False]),
    ({"AUDIT_SESSION_LIFETIME": 3600}, [1800, 1800, 1], [True, True, False]),
    ({"AUDIT_SESSION_LIFETIME": 60}, [60, 1], [True, False]),
    ({"AUDIT_SESSION_IDLE": 60}, [60], [True]),
    ({"AUDIT_SESSION_IDLE": 60}, [61], [False]),
    # "seconds without a request": with a request every 40 s nobody is idle for 60 s
    ({"AUDIT_SESSION_IDLE": 60}, [40] * 6, [True] * 6),
    ({"AUDIT_SESSION_IDLE": 90}, [59, 59, 59, 59], [True] * 4),
]


@pytest.mark.parametrize(("settings", "steps", "alive"), LIFETIMES, ids=[f"{case[0]}-{case[1]}" for case in LIFETIMES])
def test_how_long_a_session_lives(
    make_app: Callable[..., Flask], settings: dict[str, object], steps: list[int], alive: list[bool]
) -> None:
    assert alive_after(make_app(**settings), *steps) == alive


def test_a_copy_of_a_cookie_does_not_live_longer(app: Flask, client: FlaskClient, accounts: dict[Role, str]) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        log_in(client)
        copied = cookie_of(client)
        clock.shift(1200)
        assert name_of(client) == "user"
        clock.shift(1200)  # the browser's own is renewed, the copy is not
        assert name_of(with_cookie(app, copied)) is None
        assert name_of(client) == "user"


def test_a_session_begins_anew_with_each_login(app: Flask, client: FlaskClient, accounts: dict[Role, str]) -> None:
    with client.session_transaction() as session:
        session.update(planted="by somebody else", id="f" * 32, key="f" * 32, started=9**12, seen=9**12)
    planted = cookie_of(client)
    log_in(client)
    first = content_of(cookie_of(client))
    assert "planted" not in first
    assert first["id"] != "f" * 32
    assert first["key"] != "f" * 32
    assert abs(first["started"] - time.time()) < 60
    log_in(client, "auditor")
    second = content_of(cookie_of(client))
    assert second["id"] != first["id"]
    assert (first["username"], second["username"], name_of(client)) == ("user", "auditor", "auditor")
    assert name_of(with_cookie(app, planted)) is None


def test_the_same_account_gets_another_session_each_time(
    app: Flask, client: FlaskClient, accounts: dict[Role, str]
) -> None:
    other = app.test_client()
    log_in(client)
    log_in(other)
    assert content_of(cookie_of(client))["id"] != content_of(cookie_of(other))["id"]
    client.post("/logout/")
    assert name_of(other) == "user"  # a logout ends this session and no other


def test_a_failed_login_leaves_the_session_as_it_is(client: FlaskClient, accounts: dict[Role, str]) -> None:
    log_in(client)
    before = cookie_of(client)
    assert log_in(client, "admin", "wrong").status_code == 401
    assert cookie_of(client) == before
    assert name_of(client) == "user"


@pytest.mark.parametrize("mode", ["password", "passwordless"])
def test_a_copied_cookie_is_worthless_after_the_logout(make_app: Callable[..., Flask], mode: str) -> None:
    app, other_process = make_app(AUDIT_LOGIN=mode), make_app(AUDIT_LOGIN=mode)
    client = app.test_client()
    log_in(client)
    copied = cookie_of(client)
    assert name_of(with_cookie(other_process, copied)) == "user"
    client.post("/logout/")
    for process in (app, other_process):
        thief = with_cookie(process, copied)
        assert name_of(thief) is None
        assert thief.get("/api/logins").status_code == 401
    before = len(logins(app))
    assert with_cookie(app, copied).post("/logout/").get_json()["event"] is None
    assert len(logins(app)) == before


def test_a_passwordless_session_ends_with_the_mode(make_app: Callable[..., Flask]) -> None:
    client = make_app(AUDIT_LOGIN="passwordless").test_client()
    log_in(client, "admin")
    assert name_of(with_cookie(make_app(), cookie_of(client))) is None


def changed(app: Flask, change: Callable[[Session, Account], None]) -> None:
    """Change the account ``user`` as the command line does, in another process."""
    with Session(context_of(app).writer) as session, session.begin():
        change(session, service.get_account(session, "user"))


CHANGES: dict[str, Callable[[Session, Account], None]] = {
    "password": lambda session, account: service.set_password(session, account, NEW_PASSWORD, by=ACTOR),
    "same role": lambda session, account: service.set_role(session, account, Role.USER, by=ACTOR),
    "other role": lambda session, account: service.set_role(session, account, Role.ADMIN, by=ACTOR),
    "disable": lambda session, account: service.disable(session, account, by=ACTOR),
    "remove": lambda session, account: service.remove(session, account, by=ACTOR),
    "end": lambda session, account: service.end_sessions(session, account, by=ACTOR),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_ends_all_sessions_of_an_account(
    app: Flask, client: FlaskClient, accounts: dict[Role, str], change: str
) -> None:
    other, somebody_else = app.test_client(), app.test_client()
    for each, name in ((client, "user"), (other, "user"), (somebody_else, "auditor")):
        log_in(each, name)
    changed(app, CHANGES[change])
    assert [name_of(each) for each in (client, other, somebody_else)] == [None, None, "auditor"]
    assert client.get("/api/logins").status_code == 401
    assert client.post("/account/password/", json={"current_password": PASSWORD}).status_code == 401


def test_sessions_stay_ended_when_the_account_is_enabled_again(
    app: Flask, client: FlaskClient, accounts: dict[Role, str]
) -> None:
    log_in(client)
    changed(app, CHANGES["disable"])
    assert log_in(app.test_client()).status_code == 401
    changed(app, lambda session, account: service.enable(session, account, by=ACTOR))
    assert name_of(client) is None
    assert log_in(client).status_code == 200
    assert name_of(client) == "user"


def test_a_new_account_does_not_inherit_the_sessions_of_a_removed_one(
    app: Flask, client: FlaskClient, accounts: dict[Role, str]
) -> None:
    log_in(client)

    def replace(session: Session, account: Account) -> None:
        row_id = account.id
        service.remove(session, account, by=ACTOR)
        session.flush()
        new = service.add_account(session, "user", Role.ADMIN, PASSWORD, by=ACTOR)
        new.id = row_id  # as SQLite may give it by itself

    changed(app, replace)
    assert name_of(client) is None
    log_in(client)
    assert client.get("/").get_json() == {"username": "user", "role": "admin"}


def forge(content: dict[str, Any], key: str, salt: str = "cookie-session") -> str:
    signer = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    value = URLSafeTimedSerializer(key, salt=salt, signer_kwargs=signer).dumps(content)
    return value if isinstance(value, str) else value.decode()


def tampered(value: str, **changes: Any) -> str:
    """The cookie with other content and the signature that it had."""
    payload, _, rest = value.partition(".")
    return base64_encode(json.dumps(content_of(f"{payload}.") | changes)).decode() + "." + rest


ALTERATIONS: dict[str, Callable[[str], str]] = {
    "nothing": lambda _: "",
    "junk": lambda _: "junk",
    "dots": lambda _: "..",
    "not ASCII": lambda _: "\u00e9.\u00e9.\u00e9",
    "long": lambda _: "a" * 4000,
    "cut": lambda value: value[:-1],
    "longer": lambda value: value + "A",
    "unsigned": lambda value: value.rsplit(".", 1)[0],
    "empty signature": lambda value: value.rsplit(".", 1)[0] + ".",
    "other key": lambda value: tampered(value, key="0" * 32),
    "no key": lambda value: tampered(value, key=""),
    "other name": lambda value: tampered(value, username="admin"),
    "longer life": lambda value: tampered(value, started=9**12, seen=9**12),
    "foreign key": lambda value: forge(content_of(value), "another secret key for tests"),
    "empty key": lambda value: forge(content_of(value), ""),
    "cursor's signature": lambda value: forge(content_of(value), "a secret key for tests", "audit-service.cursor."),
    "other time": lambda value: ".".join([value.split(".")[0], "AAAAAA", value.split(".")[2]]),
    "compressed": lambda value: "." + value,
}


@pytest.mark.parametrize("path", ["/", "/api/logins", "/login/", "/account/password/"])
def test_an_altered_cookie_is_no_session(app: Flask, client: FlaskClient, accounts: dict[Role, str], path: str) -> None:
    log_in(client)
    genuine = cookie_of(client)
    expected = {"/": 200, "/api/logins": 401, "/login/": 200, "/account/password/": 303}[path]
    for name, alter in ALTERATIONS.items():
        thief = with_cookie(app, alter(genuine))
        assert (name, thief.get(path).status_code) == (name, expected)
        assert (name, name_of(thief)) == (name, None)
    assert name_of(with_cookie(app, genuine)) == "user"


def change(client: FlaskClient, current: str = PASSWORD, new: str = NEW_PASSWORD, **more: Any) -> TestResponse:
    fields = {"current_password": current, "new_password": new}
    return client.post("/account/password/", **({"json": fields} if not more else {"data": fields, **more}))


@pytest.mark.parametrize("as_browser", [False, True], ids=["JSON", "form"])
def test_changing_the_password_ends_the_other_sessions(
    app: Flask, client: FlaskClient, accounts: dict[Role, str], as_browser: bool
) -> None:
    other, somebody_else = app.test_client(), app.test_client()
    for each, name in ((client, "user"), (other, "user"), (somebody_else, "auditor")):
        log_in(each, name)
    before = cookie_of(client)
    answer = change(client, headers=BROWSER) if as_browser else change(client)
    if as_browser:
        assert (answer.status_code, answer.location) == (303, "/")
    else:
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
        assert "all your other sessions are ended" in answer.get_json()["message"]
    assert [name_of(each) for each in (client, other, somebody_else)] == ["user", None, "auditor"]
    assert name_of(with_cookie(app, before)) is None  # the old cookie of the same browser is over, too
    assert content_of(cookie_of(client))["id"] != content_of(before)["id"]
    assert log_in(app.test_client()).status_code == 401
    assert log_in(app.test_client(), password=NEW_PASSWORD).status_code == 200
    (event,) = admin_events(app, AdminAction.PASSWORD_CHANGED)
    assert (event.actor, event.target, event.details, event.remote_addr, event.app) == (
        "user",
        "user",
        None,
        "127.0.0.1",
        "audit_service",
    )
    assert NEW_PASSWORD not in f"{event}"


def replace_account(session: Session, account: Account) -> None:
    """Another account in its place, with the same name, number and password."""
    number, password_hash = account.id, account.password_hash
    service.remove(session, account, by=ACTOR)
    new = service.add_account(session, "user", Role.USER, PASSWORD, by=ACTOR)
    new.id, new.password_hash = number, password_hash


def disable_and_enable(session: Session, account: Account) -> None:
    service.disable(session, account, by=ACTOR)
    service.enable(session, account, by=ACTOR)


WHILE_IT_IS_CHANGED: dict[str, Callable[[Session, Account], None]] = {
    **CHANGES,
    "password": lambda session, account: service.set_password(session, account, "what the administrator set", by=ACTOR),
    "disable and enable": disable_and_enable,
    "replace": replace_account,
}


CHECKED, HASHED = "audit_service.login.views.authenticate", "audit_service.access.accounts.hash_password"
MOMENTS = [
    *((HASHED, meanwhile) for meanwhile in WHILE_IT_IS_CHANGED),
    *((CHECKED, meanwhile) for meanwhile in ("disable and enable", "replace")),
]


@pytest.mark.parametrize(("moment", "meanwhile"), MOMENTS, ids=[f"{moment[14:]}-{name}" for moment, name in MOMENTS])
def test_a_change_of_the_password_overwrites_no_other_change(
    app: Flask,
    client: FlaskClient,
    accounts: dict[Role, str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    moment: str,
    meanwhile: str,
) -> None:
    """Neither one that comes after the current password was checked, nor one between the session and that."""
    log_in(client)
    module, _, name = moment.rpartition(".")
    real = getattr(import_module(module), name)

    def interrupted(*arguments: str) -> Any:
        monkeypatch.undo()
        changed(app, WHILE_IT_IS_CHANGED[meanwhile])
        return real(*arguments)

    monkeypatch.setattr(moment, interrupted)
    answer = change(client)
    assert (answer.status_code, answer.content_type) == (401, "application/problem+json")
    assert name_of(client) is None
    assert [event.actor for event in admin_events(app, AdminAction.PASSWORD_CHANGED) if event.actor != "tests"] == []
    assert log_in(app.test_client(), password=NEW_PASSWORD).status_code == 401


@pytest.mark.parametrize("meanwhile", WHILE_IT_IS_CHANGED)
def test_a_login_does_not_outlive_a_change_that_is_made_meanwhile(
    app: Flask, client: FlaskClient, accounts: dict[Role, str], meanwhile: str
) -> None:
    def interrupt(_sender: object, **_: Any) -> None:
        changed(app, WHILE_IT_IS_CHANGED[meanwhile])

    with login_signal.connected_to(interrupt):
        assert log_in(client).status_code == 200  # it was right when it was checked, and is in the trail
    assert [item.outcome for item in logins(app)] == ["success"]
    assert name_of(client) is None


def test_a_password_whose_hash_has_old_parameters_can_be_changed(
    app: Flask, client: FlaskClient, accounts: dict[Role, str]
) -> None:
    log_in(client)
    old = PasswordHasher(memory_cost=8, time_cost=1, parallelism=1).hash(PASSWORD)
    changed(app, lambda _session, account: setattr(account, "password_hash", old))
    assert change(client).status_code == 200
    assert name_of(client) == "user"


def test_the_password_page_is_for_sessions(app: Flask, accounts: dict[Role, str], token: dict[str, str]) -> None:
    for headers in ({}, token):
        fresh = app.test_client()
        shown = fresh.get("/account/password/", headers=headers)
        assert (shown.status_code, shown.location) == (303, "/login/?next=/account/password/")
        fields = {"current_password": PASSWORD, "new_password": NEW_PASSWORD, "username": "user"}
        refused = fresh.post("/account/password/", json=fields, headers=headers)
        assert (refused.status_code, refused.content_type) == (401, "application/problem+json")
        assert "Set-Cookie" not in refused.headers
        page = fresh.post("/account/password/", data=fields, headers={**headers, **BROWSER})
        assert (page.status_code, page.mimetype) == (401, "text/html")
    assert admin_events(app, AdminAction.PASSWORD_CHANGED) == []
    assert logins(app) == []


def test_the_password_page_is_where_the_login_leads_to(client: FlaskClient, accounts: dict[Role, str]) -> None:
    login = client.get("/account/password/", headers=BROWSER).location
    answer = client.post(login, data={"username": "user", "password": PASSWORD}, headers=BROWSER)
    assert (answer.status_code, answer.location) == (303, "/account/password/")
    page = client.get("/account/password/", headers=BROWSER)
    assert (page.status_code, page.mimetype, page.headers["Cache-Control"]) == (200, "text/html", "no-store")
    assert 'name="current_password"' in page.text
    assert 'name="new_password"' in page.text
    assert "/account/password/" in client.get("/", headers=BROWSER).text


@pytest.mark.parametrize("as_browser", [False, True], ids=["JSON", "form"])
@pytest.mark.parametrize("current", ["wrong", "", "x" * 5000, "\x00", NEW_PASSWORD])
def test_a_wrong_current_password_is_a_failed_login(
    app: Flask, client: FlaskClient, accounts: dict[Role, str], as_browser: bool, current: str
) -> None:
    log_in(client)
    before = cookie_of(client)
    answer = change(client, current, headers=BROWSER) if as_browser else change(client, current)
    assert (answer.status_code, answer.mimetype) == (401, "text/html" if as_browser else "application/problem+json")
    assert "wrong username or password" in answer.text
    failure, _ = logins(app)
    assert (failure.username, failure.outcome, failure.reason, failure.method, failure.network) == (
        "user",
        "failure",
        "bad_password",
        "password",
        "127.0.0.0/24",
    )
    assert cookie_of(client) == before
    assert name_of(client) == "user"
    assert admin_events(app, AdminAction.PASSWORD_CHANGED) == []
    assert log_in(app.test_client()).status_code == 200


def test_guesses_of_the_current_password_are_throttled(make_app: Callable[..., Flask]) -> None:
    app = make_app(AUDIT_THROTTLE_NAME_LIMIT=1)
    client = app.test_client()
    log_in(client)
    assert [change(client, current).status_code for current in ("wrong", PASSWORD)] == [401, 429]
    assert name_of(client) == "user"


@pytest.mark.parametrize("as_browser", [False, True], ids=["JSON", "form"])
@pytest.mark.parametrize("new", ["", "short", "x" * 257, "password1234", "1234567890123"])
def test_an_unfit_new_password(
    app: Flask, client: FlaskClient, accounts: dict[Role, str], as_browser: bool, new: str
) -> None:
    log_in(client)
    answer = change(client, new=new, headers=BROWSER) if as_browser else change(client, new=new)
    assert answer.status_code == 400
    if as_browser:
        assert 'role="alert"' in answer.text
        assert 'name="new_password"' in answer.text
    else:
        assert answer.get_json()["parameter"] == "new_password"
        assert "password" in answer.get_json()["detail"]
    assert name_of(client) == "user"
    assert admin_events(app, AdminAction.PASSWORD_CHANGED) == []
    assert log_in(app.test_client()).status_code == 200


@pytest.mark.parametrize(
    ("sent", "status", "parameter"),
    [
        ({"json": {"current_password": 1, "new_password": NEW_PASSWORD}}, 400, "current_password"),
        ({"json": {"current_password": PASSWORD, "new_password": None}}, 400, "new_password"),
        ({"json": {"current_password": PASSWORD}}, 400, "new_password"),
        ({"json": ["no", "object"]}, 400, None),
        ({"data": "{", "content_type": "application/json"}, 400, None),
        ({"data": "<x/>", "content_type": "application/xml"}, 415, None),
        ({"json": {"current_password": "x" * 100_000}}, 413, None),
    ],
)
@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize("backend", ["sqlite"])  # refused before any database is asked
def test_bad_bodies(app: Flask, client: FlaskClient, sent: dict[str, Any], status: int, parameter: str | None) -> None:
    log_in(client)
    answer = client.post("/account/password/", **sent)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert answer.get_json().get("parameter") == parameter
    assert admin_events(app, AdminAction.PASSWORD_CHANGED) == []
    assert name_of(client) == "user"


def test_a_passwordless_session_has_no_password_page(make_app: Callable[..., Flask]) -> None:
    client = make_app(AUDIT_LOGIN="passwordless").test_client()
    log_in(client)
    assert "/account/password/" not in client.get("/", headers=BROWSER).text
    assert client.get("/account/password/").status_code == 303
    assert change(client).status_code == 401
    assert name_of(client) == "user"


def test_ended_sessions_are_forgotten_when_they_would_have_ended_anyway(
    app: Flask, client: FlaskClient, accounts: dict[Role, str]
) -> None:
    def kept() -> int:
        with app.app_context():
            return db.session.scalar(select(func.count()).select_from(EndedSession)) or 0

    with time_machine.travel(NOON, tick=False) as clock:
        for expected in (1, 2, 3):
            log_in(client)
            client.post("/logout/")
            assert kept() == expected
        clock.shift(timedelta(hours=12, seconds=1))
        log_in(client)
        client.post("/logout/")
        assert kept() == 1


def test_a_new_login_ends_the_session_that_it_replaces(
    app: Flask, client: FlaskClient, accounts: dict[Role, str]
) -> None:
    """Else a copy of its cookie outlives the logout, which knows of the newer session only."""
    log_in(client)
    copied = cookie_of(client)
    log_in(client)
    client.post("/logout/")
    assert name_of(with_cookie(app, copied)) is None
