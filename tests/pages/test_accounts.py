"""The pages on which admins change accounts."""

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

from audit_service.access import accounts as service
from audit_service.access.passwords import verify_password
from audit_service.access.throttle import find_lifts
from audit_service.context import context_of
from audit_service.login.sessions import FRESH
from audit_service.storage.dialects import is_sqlite
from audit_service.storage.models import Account
from audit_service.vocabulary import AdminAction, Role
from tests.factories import LoginFactory
from tests.support.accounts import ACTOR, PASSWORD
from tests.support.logins import BROWSER, log_in, logins
from tests.support.managing import ODD, session_of, told

NEW_PASSWORD = "another horse, another battery"


@pytest.fixture
def admin(client: FlaskClient, accounts: dict[Role, str]) -> FlaskClient:
    """The client of an admin, who has just logged in."""
    log_in(client, "admin")
    return client


def change(client: FlaskClient, name: str = "user", **fields: str) -> TestResponse:
    return client.post(f"/accounts/{name}", data=fields, headers=BROWSER)


def stored(app: Flask, name: str = "user") -> Account | None:
    with session_of(app) as session:
        account = service.find_account(session, name)
        if account:
            session.expunge(account)
        return account


def role_of(client: FlaskClient) -> Any:
    return client.get("/").get_json()["role"]


def test_the_list_shows_each_account_with_its_last_login(app: Flask, admin: FlaskClient) -> None:
    LoginFactory(username="user", timestamp=datetime.now(UTC) - timedelta(days=3, minutes=5))
    LoginFactory(username="user", failed=True)
    LoginFactory(username="auditor", action="logout")
    page = admin.get("/accounts/", headers=BROWSER)
    rows = [re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", row)) for row in re.findall(r"(?s)<tr>(.*?)</tr>", page.text)]
    assert [row.split()[:3] for row in rows[1:]] == [
        ["admin", "admin", "active"],
        ["auditor", "auditor", "active"],
        ["user", "user", "active"],
    ]
    assert "just now" in rows[1]
    assert "never" in rows[2]
    assert "3 days ago" in rows[3]
    assert page.headers["Cache-Control"] == "no-store"


def test_a_long_list_goes_on_from_a_name(app: Flask, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit_service.pages.accounts.SIZE", 2)
    first = admin.get("/accounts/", headers=BROWSER).text
    assert "/accounts/admin" in first
    assert "/accounts/user" not in first
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following
    second = admin.get(following[1], headers=BROWSER).text
    assert "/accounts/user" in second
    assert "/accounts/admin" not in second
    assert 'rel="next"' not in second
    assert "no account from this name on" in admin.get("/accounts/?from=z%00z", headers=BROWSER).text


@pytest.mark.parametrize("backend", ["sqlite"])  # who may do it is decided above the database
@pytest.mark.parametrize("path", ["/accounts/", "/accounts/user", "/tokens/", "/tokens/test"])
def test_others_are_refused(app: Flask, accounts: dict[Role, str], token: dict[str, str], path: str) -> None:
    clients: list[tuple[FlaskClient, dict[str, str], int]] = [
        (app.test_client(), {}, 401),
        (app.test_client(), token, 403),
    ]
    for name in ("user", "auditor"):
        clients.append((app.test_client(), {}, 403))
        log_in(clients[-1][0], name)
    before = told(app)
    for client, headers, status in clients:
        for answer in (client.get(path, headers=headers), client.post(path, headers=headers)):
            assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert told(app) == before
    assert told(app, but=set())[0].action == AdminAction.ACCESS_REFUSED
    page = app.test_client().get(path, headers=BROWSER)
    assert (page.status_code, page.location) == (303, f"/login/?next={path}")


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_host_app_has_none_of_this(host: Flask) -> None:
    assert not [rule for rule in host.url_map.iter_rules() if re.match("(/audit)?/(accounts|tokens)/", rule.rule)]


SENT: dict[str, dict[str, str]] = {
    AdminAction.ROLE_CHANGED: {"action": "role", "role": "auditor"},
    AdminAction.PASSWORD_CHANGED: {"action": "password", "how": "typed", "password": NEW_PASSWORD},
    AdminAction.SESSIONS_ENDED: {"action": "end_sessions"},
    AdminAction.ACCOUNT_DISABLED: {"action": "disable"},
    AdminAction.ACCOUNT_REMOVED: {"action": "remove"},
}


@pytest.mark.parametrize("action", SENT)
def test_a_change_is_told_once_recorded_and_ends_the_sessions(app: Flask, admin: FlaskClient, action: str) -> None:
    user = app.test_client()
    log_in(user)
    assert role_of(user) == "user"
    answer = change(admin, **SENT[action])
    is_removed = action == AdminAction.ACCOUNT_REMOVED
    assert (answer.status_code, answer.location) == (303, "/accounts/" if is_removed else "/accounts/user")
    assert admin.get(answer.location, headers=BROWSER).text.count('role="status"') == 1
    assert admin.get(answer.location, headers=BROWSER).text.count('role="status"') == 0
    (event,) = told(app)
    assert (event.actor, event.action, event.target, event.remote_addr) == ("admin", action, "user", "127.0.0.1")
    assert role_of(user) is None
    assert (stored(app) is None) == is_removed
    assert role_of(admin) == "admin"


def test_enabling_and_lifting(app: Flask, admin: FlaskClient) -> None:
    change(admin, action="disable")
    assert change(admin, action="enable").status_code == 303
    assert change(admin, action="lift", network="192.0.2.7").status_code == 303
    assert change(admin, action="lift", network="").status_code == 303
    refused = change(admin, action="lift", network="<here>")
    assert (refused.status_code, "&lt;here&gt;" in refused.text) == (400, True)
    assert [event.action for event in told(app)] == [
        AdminAction.THROTTLE_LIFTED,
        AdminAction.THROTTLE_LIFTED,
        AdminAction.ACCOUNT_ENABLED,
        AdminAction.ACCOUNT_DISABLED,
    ]
    with session_of(app) as session:
        found = find_lifts(session, datetime.now(UTC) - timedelta(minutes=1))
    assert {each.network for each in found} == {"192.0.2.0/24", None}


@pytest.mark.parametrize("name", ["bob", ODD])
@pytest.mark.parametrize("how", ["typed", "made"])
def test_an_account_is_made(app: Flask, admin: FlaskClient, name: str, how: str) -> None:
    fields = {"username": name, "role": "auditor", "how": how, "password": NEW_PASSWORD if how == "typed" else ""}
    answer = admin.post("/accounts/", data=fields, headers=BROWSER)
    password = NEW_PASSWORD
    if how == "made":
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
        shown = re.search(r'<pre id="password"[^>]*>([^<]+)</pre>', answer.text)
        assert shown
        password = shown[1]
    account = stored(app, name)
    assert account
    assert account.role == "auditor"
    assert verify_password(account.password_hash, password)
    found = re.search(r'href="(/accounts/[^"]+)"', admin.get("/accounts/?from=/", headers=BROWSER).text)
    assert found  # the link leads to this account, whatever is in its name
    if name == ODD:
        page = admin.get(found[1], headers=BROWSER)
        assert page.status_code == 200
        assert "<b>&" not in page.text
        assert "&lt;b&gt;&amp;" in page.text
        assert "/../" not in found[1]
        assert admin.post(found[1], data={"action": "disable"}, headers=BROWSER).status_code == 303
        disabled = stored(app, ODD)
        assert disabled
        assert disabled.disabled_at
    assert told(app)[-1].action == AdminAction.ACCOUNT_ADDED
    assert password not in repr(told(app))


def test_a_password_of_our_making_is_shown_once(app: Flask, admin: FlaskClient) -> None:
    answer = change(admin, action="password", how="made", password="")
    shown = re.search(r'<pre id="password"[^>]*>([^<]+)</pre>', answer.text)
    assert shown
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert log_in(app.test_client(), password=shown[1]).status_code == 200
    assert shown[1] not in admin.get("/accounts/user", headers=BROWSER).text


@pytest.mark.parametrize(
    ("path", "fields", "says"),
    [
        ("/accounts/", {"username": "user", "role": "user", "how": "made"}, "already"),
        ("/accounts/", {"username": "bob", "role": "god", "how": "made"}, "role must be one of"),
        ("/accounts/", {"username": "bob", "role": "user", "how": "typed", "password": "short"}, "12 to 256"),
        ("/accounts/user", {"action": "password", "how": "typed", "password": ""}, "12 to 256"),
        ("/accounts/user", {"action": "role", "role": ""}, "role must be one of"),
        ("/accounts/user", {"action": "fly"}, "action must be one of"),
        ("/accounts/user", {}, "action must be one of"),
        ("/accounts/admin", {"action": "role", "role": "user"}, "the last active admin"),
        ("/accounts/admin", {"action": "disable"}, "the last active admin"),
        ("/accounts/admin", {"action": "remove"}, "the last active admin"),
    ],
)
@pytest.mark.parametrize("backend", ["sqlite"])  # what a database has to do with it is tested in tests/access
def test_what_cannot_be_done_says_why(
    app: Flask, admin: FlaskClient, path: str, fields: dict[str, str], says: str
) -> None:
    for accept, kind in (({}, "application/problem+json"), (BROWSER, "text/html")):
        answer = admin.post(path, data=fields, headers=accept)
        assert (answer.status_code, answer.mimetype) == (400, kind)
        assert says in answer.text
    assert told(app) == []


@pytest.mark.parametrize("backend", ["sqlite"])
def test_an_account_that_there_is_not(admin: FlaskClient) -> None:
    assert admin.get("/accounts/nobody", headers=BROWSER).status_code == 404
    assert change(admin, "nobody", action="disable").status_code == 404


def test_removing_asks_first(app: Flask, admin: FlaskClient) -> None:
    asked = admin.get("/accounts/user?ask=remove", headers=BROWSER)
    assert 'value="remove"' in asked.text
    assert 'value="remove"' not in admin.get("/accounts/user", headers=BROWSER).text
    assert stored(app)


@pytest.fixture
def later(admin: FlaskClient) -> Iterator[time_machine.Traveller]:
    """The admin's session is older than a change may have it, and in use."""
    begun = datetime.now(UTC)
    with time_machine.travel(begun, tick=False) as clock:
        log_in(admin, "admin")
        clock.move_to(begun + timedelta(seconds=FRESH + 1))
        yield clock


def test_an_old_session_proves_again_whose_it_is(app: Flask, admin: FlaskClient, later: time_machine.Traveller) -> None:
    copy = app.test_client()
    cookie = admin.get_cookie("audit_session")
    assert cookie
    copy.set_cookie("audit_session", cookie.value)
    asked = change(admin, action="role", role="auditor")
    assert asked.status_code == 401
    assert '<input type="hidden" name="role" value="auditor">' in asked.text
    wrong = change(admin, action="role", role="auditor", current_password="wrong")
    assert wrong.status_code == 401
    assert "wrong username or password" in wrong.text
    assert '<input type="hidden" name="role" value="auditor">' in wrong.text
    assert "wrong" not in re.findall('value="([^"]*)"', wrong.text)
    failure = logins(app)[0]
    assert (failure.username, failure.outcome, failure.reason) == ("admin", "failure", "bad_password")
    assert told(app) == []
    assert change(admin, action="role", role="auditor", current_password=PASSWORD).status_code == 303
    assert [event.action for event in told(app)] == [AdminAction.ROLE_CHANGED]
    assert change(admin, action="disable").status_code == 303  # it counts as fresh
    assert change(copy, action="enable").status_code == 401  # a copy of the cookie does not
    later.shift(FRESH + 1)
    assert change(admin, action="enable").status_code == 401
    assert admin.get("/accounts/", headers=BROWSER).status_code == 200  # looking needs no proof


def test_a_new_password_is_not_repeated_in_the_question(
    admin: FlaskClient, later: time_machine.Traveller, app: Flask
) -> None:
    asked = change(admin, action="password", how="typed", password=NEW_PASSWORD)
    assert asked.status_code == 401
    assert NEW_PASSWORD not in asked.text
    assert 'name="password" type="password"' in asked.text
    proved = change(admin, action="password", how="typed", password=NEW_PASSWORD, current_password=PASSWORD)
    assert proved.status_code == 303
    assert log_in(app.test_client(), password=NEW_PASSWORD).status_code == 200


@pytest.mark.parametrize("backend", ["sqlite"])  # it is asked for before a database is changed
@pytest.mark.parametrize("path", ["/accounts/", "/accounts/user", "/tokens/", "/tokens/test"])
def test_every_change_asks_for_proof(
    app: Flask, admin: FlaskClient, token: dict[str, str], later: time_machine.Traveller, path: str
) -> None:
    fields = {"action": "disable", "username": "bob", "role": "user", "how": "made", "name": "bob", "scope": "read"}
    answer = admin.post(path, data=fields)
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    assert "current_password" in answer.get_json()["detail"]
    assert told(app) == []


def test_guesses_in_the_question_are_throttled(make_app: Callable[..., Flask], admin: FlaskClient) -> None:
    client = make_app(AUDIT_THROTTLE_NAME_LIMIT=1).test_client()
    begun = datetime.now(UTC)
    with time_machine.travel(begun, tick=False) as clock:
        log_in(client, "admin")
        clock.move_to(begun + timedelta(seconds=FRESH + 1))
        sent = [change(client, action="disable", current_password=guess) for guess in ("wrong", PASSWORD)]
    assert [answer.status_code for answer in sent] == [401, 429]
    assert 'name="current_password"' in sent[1].text


def test_an_admin_who_is_one_no_more_changes_nothing(app: Flask, admin: FlaskClient) -> None:
    with session_of(app) as session, session.begin():
        service.add_account(session, "other", Role.ADMIN, PASSWORD, by=ACTOR)
        service.set_role(session, service.get_account(session, "admin"), Role.AUDITOR, by=ACTOR)
    assert change(admin, action="disable").status_code == 401
    assert told(app) == []


def test_an_admin_who_loses_the_rights_meanwhile_changes_nothing(app: Flask, admin: FlaskClient) -> None:
    """The request was let in, and waits for the change that takes the rights away."""
    with session_of(app) as session, session.begin():
        service.add_account(session, "other", Role.ADMIN, PASSWORD, by=ACTOR)
    writer, waits = context_of(app).writer, threading.Event()
    name, mark = ("checkout", "") if is_sqlite(writer) else ("before_cursor_execute", "FOR UPDATE")
    with ThreadPoolExecutor(1) as threads, session_of(app) as session, session.begin():
        service.disable(session, service.get_account(session, "admin"), by=ACTOR)
        event.listen(writer, name, lambda *given: waits.set() if mark in str(given[2]) else None)
        fields = {"username": "friend", "role": "admin", "password": NEW_PASSWORD}
        answer = threads.submit(admin.post, "/accounts/", data=fields, headers=BROWSER)
        assert waits.wait(10)
        session.commit()
        assert answer.result().status_code == 401
    assert stored(app, "friend") is None
