"""Admin events: who changed what, who looked at the history, when recording started and stopped."""

import hashlib
import json
import os
import pwd
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from audit_service.access.tokens import add_token
from audit_service.app import db
from audit_service.context import context_of
from audit_service.errors import AccountError
from audit_service.events.admin import ADMIN_EVENTS, AdminFilters, AdminItem, NewAdmin
from audit_service.history.query import list_events
from audit_service.history.question import Question
from audit_service.storage.models import AdminEvent, LoginEvent, TrailHead
from audit_service.vocabulary import AdminAction, Role, Scope
from tests.factories import AdminFactory, ErrorFactory, LoginFactory, SaveThrough
from tests.support.accounts import ACTOR, PASSWORD
from tests.support.commands import run, succeed
from tests.support.server import running_service

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
READ, REFUSED = AdminAction.HISTORY_READ, AdminAction.ACCESS_REFUSED


def admin_events(app: Flask, *actions: AdminAction) -> list[AdminItem]:
    """The oldest first."""
    with app.app_context():
        items = list_events(db.session(), Question(kind=ADMIN_EVENTS, filters=AdminFilters()), limit=1000)[0]
    return [item for item in reversed(items) if not actions or item.action in actions]


def stored_events(engine: Engine) -> list[tuple[str | None, str, str | None, Any]]:
    with Session(engine) as session:
        rows = session.scalars(select(AdminEvent).order_by(AdminEvent.seq)).all()
        return [(row.actor, row.action, row.target, row.details) for row in rows]


def logged_in(app: Flask, name: str) -> FlaskClient:
    client = app.test_client()
    assert client.post("/login/", data={"username": name, "password": PASSWORD}).status_code == 200
    return client


def test_a_look_is_one_event_for_each_reader_question_and_minute(
    app: Flask, accounts: dict[Role, str], token: dict[str, str]
) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        readers: list[tuple[FlaskClient, dict[str, str]]] = [
            (app.test_client(), token),
            (logged_in(app, "auditor"), {}),
            (logged_in(app, "admin"), {}),
        ]
        for seconds in (0, 1, 58, 1, 59, 1):  # at 12:00:00, :01, :59, 12:01:00, :59, 12:02:00
            clock.shift(seconds)
            for client, headers in readers:
                for path in ("/api/logins", "/api/logins?username=ada", "/api/errors", "/api/logins"):
                    assert client.get(path, headers=headers).status_code == 200
    events = admin_events(app, READ)
    assert len(events) == 3 * 3 * 3
    assert {(item.actor, item.target, str(item.details)) for item in events} == {
        (actor, target, str(details))
        for actor in ("token:test", "auditor", "admin")
        for target, details in (
            ("/api/logins", None),
            ("/api/logins", {"username": ["ada"]}),
            ("/api/errors", None),
        )
    }
    assert {item.timestamp.minute for item in events} == {0, 1, 2}
    assert {item.remote_addr for item in events} == {"127.0.0.1"}
    assert {item.app for item in events} == {"audit_service"}


def test_the_question_is_in_the_details(app: Flask, client: FlaskClient, token: dict[str, str]) -> None:
    for _ in range(3):
        LoginFactory(username="ada")
    with time_machine.travel(NOON, tick=False):
        query = "since=2026-01-01T00:00:00Z&username=bob&username=ada&outcome=success&limit=1"
        page = client.get(f"/api/logins?{query}", headers=token)
        for _ in range(2):  # the other pages of one question, however long they are, are the same look
            page = client.get(page.get_json()["next_url"].replace("limit=1", "limit=2"), headers=token)
            if page.get_json()["next_url"] is None:
                break
    (event,) = admin_events(app, READ)
    assert event.details == {
        "since": ["2026-01-01T00:00:00Z"],
        "outcome": ["success"],
        "username": ["bob", "ada"],
    }
    assert (event.target, event.actor) == ("/api/logins", "token:test")


def test_questions_that_are_too_long_for_an_event_can_be_told_apart(
    app: Flask, client: FlaskClient, token: dict[str, str]
) -> None:
    padding = [f"{n:0>250}" for n in range(50)]
    questions = [
        {"outcome": ["failure"], "username": [*padding, "ada"]},
        {"outcome": ["failure"], "username": [*padding, "bob"]},
        {"app": ['"\\😀' * 21] * 50},  # what is longest in JSON, and cut in the middle of a character
    ]
    with time_machine.travel(NOON, tick=False):
        for query in (*questions, questions[0]):
            assert client.get("/api/logins", query_string=query, headers=token).status_code == 200
    events = admin_events(app, READ)
    assert len(events) == len(questions)
    for event, query in zip(events, questions, strict=True):
        whole = json.dumps(query, separators=(",", ":"), ensure_ascii=False)
        assert event.details
        assert event.details["parameters"] == sorted(query)
        assert event.details["sha256"] == hashlib.sha256(whole.encode()).hexdigest()
        assert whole.startswith(event.details["begin"])
        assert 990 < len(event.details["begin"].encode()) <= 1000


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/api/logins", LoginFactory), ("/api/errors", ErrorFactory), ("/api/admin-events", AdminFactory)],
)
def test_looking_at_one_event_is_a_look(
    app: Flask, client: FlaskClient, token: dict[str, str], path: str, kind: type[LoginFactory]
) -> None:
    target = f"{path}/{kind().id}"
    for _ in range(2):
        assert client.get(target, headers=token).status_code == 200
    assert 1 <= len(admin_events(app, READ)) <= 2  # the minute may be over in between
    assert {(item.target, item.details) for item in admin_events(app, READ)} == {(target, None)}


@pytest.mark.parametrize("path", ["/api/logins?limit=0", "/api/logins?typo=1", "/api/logins?cursor=x", "/api/logins/1"])
def test_what_shows_nothing_is_no_look(app: Flask, client: FlaskClient, token: dict[str, str], path: str) -> None:
    assert client.get(path, headers=token).status_code in (400, 404)
    assert admin_events(app, READ) == []


def test_a_look_at_ones_own_logins_is_no_event(app: Flask, accounts: dict[Role, str]) -> None:
    own, other = LoginFactory(username="user"), LoginFactory(username="other")
    client = logged_in(app, "user")
    paths = ["/api/logins", "/api/logins?username=other", f"/api/logins/{own.id}", f"/api/logins/{other.id}"]
    assert [client.get(path).status_code for path in paths] == [200, 200, 200, 404]
    assert admin_events(app, READ, REFUSED) == []


def test_processes_on_one_database_fold_together(
    make_app: Callable[..., Flask], app: Flask, token: dict[str, str]
) -> None:
    others = [make_app(), make_app(), make_app(AUDIT_APP_NAME="another")]
    with time_machine.travel(NOON, tick=False):
        for process in (app, *others, app):
            for headers in (token, {"Authorization": "Bearer x"}):
                process.test_client().get("/api/logins", headers=headers)
    events = admin_events(app, READ, REFUSED)
    assert sorted((item.action, item.app) for item in events) == [
        ("access_refused", "another"),
        ("access_refused", "audit_service"),
        ("history_read", "another"),
        ("history_read", "audit_service"),
    ]
    assert [item.seq for item in events] == list(range(events[0].seq, events[0].seq + 4))


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer x", "Bearer \xff", "Basic eDp5", "nonsense", "Bearer aud_" + "x" * 43]
)
def test_a_bad_token_is_a_refused_access(app: Flask, client: FlaskClient, header: str) -> None:
    with time_machine.travel(NOON, tick=False):
        for path in ("/api/logins", "/api/logins", "/api/logins/1", "/api/logins/2", "/api/errors"):
            answer = client.get(path, headers={"Authorization": header}, environ_base={"REMOTE_ADDR": "192.0.2.7"})
            assert answer.status_code == 401
        # others of the same network are the same actor
        client.get("/api/logins", headers={"Authorization": header}, environ_base={"REMOTE_ADDR": "192.0.2.8"})
    events = admin_events(app)
    assert [(item.actor, item.action, item.target, item.details, item.remote_addr) for item in events] == [
        ("network:192.0.2.0/24", "access_refused", target, None, "192.0.2.7")
        for target in ("/api/logins", "/api/logins/<event_id>", "/api/errors")
    ]
    assert "x" * 43 not in f"{events}"


def test_a_token_of_another_scope_is_a_refused_access(app: Flask, client: FlaskClient, token: dict[str, str]) -> None:
    with app.app_context():
        secret = add_token(db.session(), "shop", Scope.REPORT, by=ACTOR)
        db.session.commit()
    assert client.get("/api/logins", headers={"Authorization": f"Bearer {secret}"}).status_code == 401
    assert client.post("/login/", json={"username": "ada", "outcome": "success"}, headers=token).status_code == 401
    assert [(item.actor, item.target) for item in admin_events(app, REFUSED)] == [
        ("network:127.0.0.0/24", "/api/logins"),
        ("network:127.0.0.0/24", "/login/"),
    ]


def test_a_user_at_the_history_of_others_is_refused(app: Flask, accounts: dict[Role, str]) -> None:
    client = logged_in(app, "user")
    event, change = ErrorFactory(), AdminFactory()
    with time_machine.travel(datetime.now(UTC), tick=False):
        for path in ("/api/errors", "/api/admin-events", f"/api/errors/{event.id}", f"/api/admin-events/{change.id}"):
            for _ in range(3):
                answer = client.get(path)
                assert (answer.status_code, answer.content_type) == (403, "application/problem+json")
    assert [(item.actor, item.target, item.details) for item in admin_events(app, REFUSED)] == [
        ("user", "/api/errors", None),
        ("user", "/api/admin-events", None),
        ("user", "/api/errors/<event_id>", None),
        ("user", "/api/admin-events/<event_id>", None),
    ]


@pytest.mark.parametrize("path", ["/api/logins", "/api/errors", "/api/admin-events"])
def test_a_request_without_a_token_leaves_no_event(app: Flask, client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 401
    assert admin_events(app) == []


@pytest.fixture
def environ(config: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> str:
    """For the command line; returns the actor."""
    for name, value in config.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("LOGNAME", "grace")  # which anybody can say
    return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"


def test_each_command_leaves_its_event(engine: Engine, environ: str) -> None:
    succeed("accounts", "add", "ada", "--role", "user", "--password-stdin", stdin=f"{PASSWORD}\n")
    succeed("accounts", "set-role", "ada", "auditor")
    succeed("accounts", "set-password", "ada", "--password-stdin", stdin=f"{PASSWORD} again\n")
    succeed("accounts", "disable", "ada")
    succeed("accounts", "enable", "ada")
    succeed("accounts", "end-sessions", "ada")
    succeed("accounts", "unlock", "ada")
    succeed("accounts", "unlock", "ada", "--network", "192.0.2.7")
    succeed("accounts", "remove", "ada", "--yes")
    succeed("tokens", "add", "--scope", "report", "--name", "shop")
    succeed("tokens", "revoke", "shop", "--yes")
    succeed("tokens", "revoke", "shop", "--yes")  # nothing is left to be revoked
    succeed("accounts", "list")
    succeed("tokens", "list")
    assert environ != "cli:grace"
    assert stored_events(engine) == [
        (environ, action, target, details)
        for action, target, details in [
            ("account_added", "ada", {"role": "user"}),
            ("role_changed", "ada", {"from": "user", "to": "auditor"}),
            ("password_changed", "ada", None),
            ("account_disabled", "ada", None),
            ("account_enabled", "ada", None),
            ("sessions_ended", "ada", None),
            ("throttle_lifted", "ada", {"network": None}),
            ("throttle_lifted", "ada", {"network": "192.0.2.0/24"}),
            ("account_removed", "ada", {"role": "auditor"}),
            ("token_added", "shop", {"scope": "report", "expires_at": None}),
            ("token_revoked", "shop", None),
        ]
    ]


def test_the_command_that_reads_the_history_is_a_look(engine: Engine, environ: str) -> None:
    succeed("history")
    assert stored_events(engine) == [(environ, "history_read", "audit-service history logins", None)]


@pytest.mark.parametrize(
    "command",
    [
        ["accounts", "add", "ada", "--role", "user", "--password-stdin"],  # there is one already
        ["accounts", "add", "bob", "--role", "user", "--password-stdin"],  # with an unfit password
        ["accounts", "set-password", "ada", "--password-stdin"],
        ["accounts", "set-role", "nobody", "user"],
        ["accounts", "disable", "nobody"],
        ["accounts", "enable", "nobody"],
        ["accounts", "end-sessions", "nobody"],
        ["accounts", "unlock", "nobody"],
        ["accounts", "unlock", "ada", "--network", "here"],
        ["accounts", "remove", "nobody", "--yes"],
        ["accounts", "remove", "ada"],  # and the answer is no
        ["tokens", "add", "--scope", "read", "--name", "poller"],
        ["tokens", "revoke", "nobody", "--yes"],
        ["tokens", "revoke", "poller"],
    ],
    ids=" ".join,
)
def test_a_command_that_fails_leaves_none(engine: Engine, environ: str, command: list[str]) -> None:
    succeed("accounts", "add", "ada", "--role", "user", "--password-stdin", stdin=f"{PASSWORD}\n")
    succeed("tokens", "add", "--scope", "read", "--name", "poller")
    before = stored_events(engine)
    assert run(*command, stdin="n\n").exit_code == 1
    assert stored_events(engine) == before
    with Session(engine) as session:
        assert session.scalar(select(TrailHead.size)) == len(before) == 2  # no gap, either


def test_a_change_that_is_rolled_back_leaves_none(app: Flask, engine: Engine) -> None:
    with app.app_context():
        add_token(db.session(), "one", Scope.READ, by=ACTOR)
        db.session.rollback()
        add_token(db.session(), "two", Scope.READ, by=ACTOR)
        db.session.commit()
        with pytest.raises(AccountError):
            add_token(db.session(), "two", Scope.READ, by=ACTOR)
    assert [(action, target) for _, action, target, _ in stored_events(engine)] == [("token_added", "two")]
    with Session(engine) as session:
        assert session.scalars(select(AdminEvent.seq)).all() == [1]


def test_serving_starts_and_stops_recording(config: dict[str, object], engine: Engine) -> None:
    actor = f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    with running_service({**config, "AUDIT_WORKERS": 2, "AUDIT_APP_NAME": "shop"}):
        assert stored_events(engine) == [(actor, "recording_started", "shop", None)]
    assert stored_events(engine) == [
        (actor, "recording_started", "shop", None),
        (actor, "recording_stopped", "shop", None),
    ]


@pytest.fixture
def three(app: Flask) -> list[NewAdmin]:
    return [
        AdminFactory(actor="ada", action=AdminAction.ROLE_CHANGED, target="bob", timestamp=NOON),
        AdminFactory(
            actor="cli:root", action=AdminAction.TOKEN_ADDED, target="shop", timestamp=NOON + timedelta(hours=1)
        ),
        AdminFactory(actor="ada", action=AdminAction.TOKEN_REVOKED, target="shop", timestamp=NOON + timedelta(hours=2)),
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("actor=ada", [2, 0]),
        ("actor=ada&actor=cli:root", [2, 1, 0]),
        ("actor=Ada", []),
        ("action=token_added", [1]),
        ("action=token_added&action=token_revoked", [2, 1]),
        ("target=shop", [2, 1]),
        ("target=shop&target=bob", [2, 1, 0]),
        ("target=sho", []),
        ("since=2026-01-31T13:00:00Z", [2, 1]),
        ("until=2026-01-31T13:00:00Z", [0]),
        ("since=2026-01-31T13:00:00Z&until=2026-01-31T14:00:00Z", [1]),
        ("actor=ada&target=shop", [2]),
        ("actor=ada&target=shop&action=role_changed", []),
        ("", [2, 1, 0]),
    ],
)
def test_filters(
    client: FlaskClient, token: dict[str, str], three: list[NewAdmin], query: str, found: list[int]
) -> None:
    answer = client.get(f"/api/admin-events?{query}&limit=1000", headers=token)
    ids = [str(event.id) for event in three]
    assert answer.status_code == 200
    assert [ids.index(item["id"]) for item in answer.get_json()["items"] if item["id"] in ids] == found
    if query.startswith(("actor", "target")):  # nor is there anything else
        assert len(answer.get_json()["items"]) == len(found)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("username=ada", "username"),
        ("outcome=success", "outcome"),
        ("action=made_up", "action"),
        ("actor=%00", "actor"),
        (f"target={'x' * 256}", "target"),
        ("since=yesterday", "since"),
    ],
)
def test_bad_parameters(client: FlaskClient, token: dict[str, str], query: str, parameter: str) -> None:
    answer = client.get(f"/api/admin-events?{query}", headers=token)
    assert (answer.status_code, answer.get_json()["parameter"]) == (400, parameter)


def test_an_admin_event_as_json(client: FlaskClient, token: dict[str, str]) -> None:
    event = AdminFactory(timestamp=NOON, details={"role": "user"})
    item = client.get(f"/api/admin-events/{event.id}", headers=token).get_json()
    assert set(item) == {*event.__struct_fields__, "seq", "recorded_at"}
    assert (item["actor"], item["action"], item["target"]) == (event.actor, "account_added", event.target)
    assert (item["timestamp"], item["details"]) == ("2026-01-31T12:00:00Z", {"role": "user"})
    for path in ("/api/logins", "/api/errors"):
        assert client.get(f"{path}/{event.id}", headers=token).status_code == 404


def test_pages_of_admin_events(client: FlaskClient, token: dict[str, str], three: list[NewAdmin]) -> None:
    url = "/api/admin-events?target=shop&target=bob&limit=1"
    seen = []
    while url:
        page = client.get(url, headers=token).get_json()
        seen += [item["id"] for item in page["items"]]
        url = page["next_url"]
    assert seen == [str(event.id) for event in reversed(three)]


def test_reading_goes_on_when_the_trail_cannot_be_written(
    make_app: Callable[..., Flask], accounts: dict[Role, str], token: dict[str, str]
) -> None:
    app = make_app(AUDIT_SPOOL="off", AUDIT_WRITE_TIMEOUT=0.5)
    with SaveThrough(context_of(app).recorder):
        LoginFactory(username="somebody")
    auditor = logged_in(app, "auditor")
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(text("DROP TABLE trail_head"))
    client = app.test_client()
    started = time.monotonic()
    for path in ("/api/logins", "/api/errors", "/api/admin-events"):
        assert client.get(path, headers=token).status_code == 200
        assert auditor.get(path).status_code == 200
        assert client.get(path, headers={"Authorization": "Bearer x"}).status_code == 401
    assert time.monotonic() - started < 5
    assert len(client.get("/api/logins", headers=token).get_json()["items"]) == 2
    assert admin_events(app, READ, REFUSED) == []
    assert app.test_client().post("/login/", data={"username": "user", "password": PASSWORD}).status_code == 503
    with app.app_context():
        assert len(db.session.scalars(select(LoginEvent)).all()) == 2


def test_the_command_line_reads_on_when_the_trail_cannot_be_written(app: Flask, engine: Engine, environ: str) -> None:
    with SaveThrough(context_of(app).recorder):
        LoginFactory(username="somebody")
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE trail_head"))
    assert '"somebody"' in succeed("history")
