"""Who is logged in now: by the API, on the command line, and on the pages of accounts."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, func, select, text
from sqlalchemy.orm import Session

from audit_service.access import accounts as service
from audit_service.app import db
from audit_service.context import context_of
from audit_service.events.admin import ADMIN_EVENTS, AdminFilters
from audit_service.history.query import list_events
from audit_service.history.question import Question
from audit_service.storage.models import Account, KnownSession
from audit_service.vocabulary import AdminAction, Role
from tests.support.accounts import ACTOR, PASSWORD
from tests.support.commands import succeed
from tests.support.host_app import read_headers
from tests.support.logins import BROWSER, log_in
from tests.support.reader import Reader

NEW_PASSWORD = "another horse, another battery"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
FROM = {"REMOTE_ADDR": "192.0.2.7"}

pytestmark = pytest.mark.usefixtures("accounts")


@pytest.fixture
def reader(app: Flask, token: dict[str, str]) -> Reader:
    """In a browser of its own, which has no session."""
    return Reader(app.test_client(), token)


@pytest.fixture
def make_app(accounts: dict[Role, str], make_app: Callable[..., Flask]) -> Callable[..., Flask]:
    """With the accounts on their database."""
    return make_app


def alive(reader: Reader, **query: Any) -> list[str]:
    answer = reader.get("/api/sessions", **query)
    assert answer.status_code == 200, answer.json
    return [item["username"] for item in answer.get_json()["items"]]


def kept(app: Flask) -> int:
    """The rows that there are, whether their sessions are alive or not."""
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(KnownSession)) or 0


def changed(app: Flask, change: Callable[[Session, Account], None]) -> None:
    """Change the account ``user`` as an admin does, in another process."""
    with Session(context_of(app).writer) as session, session.begin():
        change(session, service.get_account(session, "user"))


def test_a_session_is_listed_from_its_login_to_its_logout(
    app: Flask, client: FlaskClient, reader: Reader, monkeypatch: pytest.MonkeyPatch, config: dict[str, object]
) -> None:
    for name, value in config.items():
        monkeypatch.setenv(name, str(value))
    with time_machine.travel(NOON, tick=False) as clock:
        assert reader.get("/api/sessions").get_json() == {"total": 0, "items": []}
        log_in(client, environ_overrides=FROM, headers={"User-Agent": FIREFOX})
        clock.shift(100)
        log_in(app.test_client(), "admin", environ_overrides={"REMOTE_ADDR": "2001:db8::1"})
        found = reader.get("/api/sessions").get_json()
        assert found["total"] == 2
        assert found["items"][1] == {
            "username": "user",
            "role": "user",
            "started_at": "2026-01-31T12:00:00Z",
            "seen_at": "2026-01-31T12:00:00Z",
            "remote_addr": "192.0.2.7",
            "user_agent": FIREFOX,
        }
        assert (found["items"][0]["username"], found["items"][0]["remote_addr"]) == ("admin", "2001:db8::1")
        assert reader.get("/api/sessions", limit=1).get_json() == {"total": 2, "items": found["items"][:1]}
        assert json.loads(succeed("history", "sessions")) == found
        client.post("/logout/")
        assert alive(reader) == ["admin"]
        assert json.loads(succeed("history", "sessions", "--limit", "5"))["total"] == 1
    assert kept(app) == 1


def test_it_was_seen_when_its_cookie_was_renewed(app: Flask, client: FlaskClient, reader: Reader) -> None:
    statements: list[str] = []
    log_in(client)
    with time_machine.travel(datetime.now(UTC), tick=False) as clock:
        log_in(client)
        event.listen(context_of(app).writer, "before_cursor_execute", lambda *given: statements.append(given[2]))
        for seconds, is_noted in ((59, False), (1, True), (59, False), (0, False), (2, True)):
            statements.clear()
            clock.shift(seconds)
            client.get("/", environ_overrides=FROM)
            client.head("/api/logins", environ_overrides=FROM)
            assert sum("UPDATE audit_sessions" in statement for statement in statements) == is_noted
        (item,) = reader.get("/api/sessions").get_json()["items"]
        assert datetime.fromisoformat(item["seen_at"]) == datetime.now(UTC).replace(microsecond=0)
        assert item["remote_addr"] == "192.0.2.7"  # of the request that was seen last


def test_nothing_is_written_for_who_has_no_session(app: Flask, client: FlaskClient, reader: Reader) -> None:
    log_in(client)
    cookie = client.get_cookie("audit_session")
    assert cookie
    with time_machine.travel(datetime.now(UTC), tick=False) as clock:
        clock.shift(120)
        changed(app, lambda session, account: service.end_sessions(session, account, by=ACTOR))
        written: list[str] = []
        event.listen(context_of(app).writer, "before_cursor_execute", lambda *given: written.append(given[2]))
        for browser in (client, app.test_client()):
            assert browser.get("/").get_json()["username"] is None
            assert browser.get("/login/").status_code == 200
            assert browser.get("/api/logins").status_code == 401
        assert [statement for statement in written if "audit_sessions" in statement] == []
    assert alive(reader) == []


def test_a_second_login_of_a_browser_takes_the_place_of_the_first(
    app: Flask, client: FlaskClient, reader: Reader
) -> None:
    log_in(client)
    log_in(client)
    assert alive(reader) == ["user"]
    log_in(app.test_client())
    assert alive(reader) == ["user", "user"]
    log_in(client, "auditor")
    assert sorted(alive(reader)) == ["auditor", "user"]
    assert log_in(client, "user", "wrong").status_code == 401
    assert sorted(alive(reader)) == ["auditor", "user"]


def test_changing_ones_own_password_leaves_the_session_that_did_it(
    app: Flask, client: FlaskClient, reader: Reader
) -> None:
    log_in(client)
    log_in(app.test_client())
    sent = client.post("/account/password/", json={"current_password": PASSWORD, "new_password": NEW_PASSWORD})
    assert sent.status_code == 200
    assert alive(reader) == ["user"]
    assert client.get("/").get_json()["username"] == "user"
    assert kept(app) == 1


CHANGES: dict[str, Callable[[Session, Account], None]] = {
    "password": lambda session, account: service.set_password(session, account, NEW_PASSWORD, by=ACTOR),
    "role": lambda session, account: service.set_role(session, account, Role.AUDITOR, by=ACTOR),
    "disable": lambda session, account: service.disable(session, account, by=ACTOR),
    "remove": lambda session, account: service.remove(session, account, by=ACTOR),
    "end": lambda session, account: service.end_sessions(session, account, by=ACTOR),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_ends_all_sessions_of_an_account(app: Flask, client: FlaskClient, reader: Reader, change: str) -> None:
    log_in(client)
    log_in(app.test_client())
    changed(app, CHANGES[change])
    assert alive(reader) == []
    log_in(client, "auditor")
    assert alive(reader) == ["auditor"]
    assert kept(app) == 1  # the others are forgotten when a session starts


def test_a_key_that_is_known_opens_no_disabled_account(app: Flask, client: FlaskClient, reader: Reader) -> None:
    """As for the cookie, it is not the key alone that counts."""
    log_in(client)
    changed(app, lambda _session, account: setattr(account, "disabled_at", datetime.now(UTC)))
    assert client.get("/").get_json()["username"] is None
    assert alive(reader) == []


@pytest.mark.parametrize(
    ("settings", "steps", "expected"),
    [
        ({}, [1800], [True]),
        ({}, [1801], [False]),
        ({}, [1200, 1200, 1801], [True, True, False]),
        ({"AUDIT_SESSION_IDLE": 60}, [60], [True]),
        ({"AUDIT_SESSION_IDLE": 60}, [7, 58, 61], [True, True, False]),
        ({"AUDIT_SESSION_IDLE": 60}, [5, 56], [True, False]),
        ({"AUDIT_SESSION_IDLE": 60}, [5, 3, 55], [True] * 3),
        ({"AUDIT_SESSION_LIFETIME": 3600}, [1800, 1800, 1], [True, True, False]),
    ],
)
def test_a_session_is_listed_as_long_as_its_cookie_is_good(
    make_app: Callable[..., Flask],
    token: dict[str, str],
    settings: dict[str, object],
    steps: list[int],
    expected: list[bool],
) -> None:
    app = make_app(**settings)
    client, reader = app.test_client(), Reader(app.test_client(), token)
    with time_machine.travel(NOON, tick=False) as clock:
        log_in(client)
        listed, opened = [], []
        clock.shift(0.9)
        for seconds in steps:
            clock.shift(seconds)
            listed.append(alive(reader) == ["user"])
            opened.append(client.get("/").get_json()["username"] == "user")
    assert (listed, opened) == (expected, expected)


def test_rows_are_forgotten_when_their_life_time_is_over(app: Flask) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        for expected in (1, 2, 3):
            log_in(app.test_client())
            assert kept(app) == expected
        clock.shift(timedelta(hours=12, seconds=1))
        log_in(app.test_client())
        assert kept(app) == 1


def test_a_row_that_cannot_be_written_refuses_nobody(
    app: Flask, client: FlaskClient, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    with time_machine.travel(datetime.now(UTC), tick=False) as clock:
        rename(app, "audit_sessions", "elsewhere")
        assert log_in(client).status_code == 200
        clock.shift(120)
        assert client.get("/").get_json()["username"] == "user"
        assert caplog.text.count("who is logged in could not be noted: ") == 2
        client.post("/logout/")
        assert client.get("/").get_json()["username"] is None
        assert log_in(client).status_code == log_in(client).status_code == 200
        rename(app, "elsewhere", "audit_sessions")
        assert alive(reader) == []
        clock.shift(120)
        assert client.get("/").get_json()["username"] == "user"
        assert alive(reader) == ["user"]  # it is known from the next time on


def rename(app: Flask, name: str, new: str) -> None:
    with context_of(app).writer.begin() as connection:
        connection.execute(text(f"ALTER TABLE {name} RENAME TO {new}"))


def test_names_without_a_password_have_no_row(make_app: Callable[..., Flask], reader: Reader) -> None:
    client = make_app(AUDIT_LOGIN="passwordless").test_client()
    log_in(client, "admin")
    assert client.get("/").get_json()["username"] == "admin"
    assert alive(reader) == []


def test_only_auditors_may_look_and_their_look_is_recorded(app: Flask, client: FlaskClient) -> None:
    assert client.get("/api/sessions").status_code == 401
    log_in(client)
    assert client.get("/api/sessions").status_code == 403
    log_in(client, "auditor")
    assert [item["username"] for item in client.get("/api/sessions?limit=7").get_json()["items"]] == ["auditor"]
    with app.app_context():
        looks = list_events(db.session(), Question(kind=ADMIN_EVENTS, filters=AdminFilters()), limit=1)[0]
    assert [(each.actor, each.action, each.target) for each in looks] == [
        ("auditor", AdminAction.HISTORY_READ, "/api/sessions")
    ]


def test_a_host_app_has_no_sessions_of_accounts(host: Flask) -> None:
    answer = host.test_client().get("/api/sessions", headers=read_headers(host))
    assert (answer.status_code, answer.get_json()) == (200, {"total": 0, "items": []})
    shown = host.test_cli_runner().invoke(args=["audit", "history", "sessions"])
    assert (shown.exit_code, shown.stdout) == (0, '{"total":0,"items":[]}\n')


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", html))


def test_the_pages_of_accounts_tell_it(app: Flask, client: FlaskClient) -> None:
    log_in(client, "admin")
    page = client.get("/accounts/user", headers=BROWSER).text
    assert "Nobody is logged in as this account." in page
    for _ in range(2):
        log_in(app.test_client(), environ_overrides=FROM, headers={"User-Agent": FIREFOX})
    page = client.get("/accounts/user", headers=BROWSER).text
    assert "Nobody" not in page
    rows = [text_of(row) for row in re.findall(r"(?s)<tr>(.*?)</tr>", page)]
    assert rows[1:] == [" just now just now 192.0.2.7 Firefox · Linux "] * 2
    listed = [text_of(row) for row in re.findall(r"(?s)<tr>(.*?)</tr>", client.get("/accounts/", headers=BROWSER).text)]
    assert [re.findall(r"(?:now|never) (\d)", row) for row in listed[1:]] == [["1"], ["0"], ["2"]]


def test_an_account_with_very_many_sessions_says_so(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_service.pages.accounts.SESSIONS", 2)
    log_in(client, "admin")
    for _ in range(3):
        log_in(app.test_client())
    page = client.get("/accounts/user", headers=BROWSER).text
    assert len(re.findall("<tr>", page)) == 3
    assert "These were seen last, of 3 in all." in page
