"""Signals and exceptions become events."""

import time
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from audit_service import LoginAudit, login_failed_signal, login_signal, logout_signal, receivers
from audit_service.app import db
from audit_service.context import context_of
from audit_service.errors import AuditUnavailable, NotConfiguredError
from audit_service.events.logins import NewLogin
from audit_service.trail.repeats import WINDOW, Bug
from audit_service.values.flood import RECORDED
from audit_service.values.text import clean
from audit_service.vocabulary import Action, Outcome, Reason
from tests.support import told
from tests.support.logins import errors, logins
from tests.support.told import closing_trail

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_signal_with_and_without_sender_and_request(app: Flask) -> None:
    with app.app_context():
        login_signal.send(app, username="one")
        login_signal.send(username="two")
    with app.test_request_context(headers={"User-Agent": "tests"}, environ_base={"REMOTE_ADDR": "192.0.2.7"}):
        login_signal.send(username="three")
    three, two, one = logins(app)
    assert [one.username, two.username, three.username] == ["one", "two", "three"]
    assert (one.remote_addr, one.user_agent, one.request_id) == (None, None, None)
    assert (three.remote_addr, three.user_agent, three.app) == ("192.0.2.7", "tests", "audit_service")
    assert three.request_id


def test_what_each_signal_records(app: Flask) -> None:
    with app.app_context():
        for signal, arguments in (
            (login_signal, {}),
            (login_failed_signal, {"reason": Reason.INACTIVE}),
            (login_failed_signal, {"reason": "made up"}),
            (login_failed_signal, {}),
            (logout_signal, {"method": "sso", "unknown_argument": 1}),
        ):
            signal.send(app, username="ada", **arguments)
    login, failure, success = Action.LOGIN, Outcome.FAILURE, Outcome.SUCCESS
    assert [(item.action, item.outcome, item.reason, item.method) for item in reversed(logins(app))] == [
        (login, success, None, None),
        (login, failure, "inactive", None),
        (login, failure, "other", None),
        (login, failure, "other", None),
        (Action.LOGOUT, success, None, "sso"),
    ]


def test_the_answer_is_the_id_of_the_stored_event(app: Flask) -> None:
    def foreign(_sender: object, **_: Any) -> UUID:
        return UUID(int=1)

    with app.app_context(), login_signal.connected_to(foreign):
        event_id = receivers.stored(login_signal.send(app, username="ada"))
    assert [item.id for item in logins(app)] == [event_id]


def test_a_disconnected_receiver_is_noticed(app: Flask) -> None:
    login_signal.disconnect(receivers.on_login)
    try:
        with app.app_context(), pytest.raises(AuditUnavailable, match="no audit receiver"):
            receivers.stored(login_signal.send(app, username="ada"))
    finally:
        receivers.connect()


def test_an_app_without_a_trail_is_told_so() -> None:
    app = Flask("bare")
    with app.app_context(), pytest.raises(NotConfiguredError, match=r"call LoginAudit\(app\) first"):
        login_signal.send(app, username="ada")


@pytest.mark.parametrize("username", ["a\x00b", "\ud800", "a\r\nb", "x" * 5000, 42])
def test_any_username_is_stored_clean(app: Flask, username: object) -> None:
    with app.app_context():
        login_signal.send(app, username=username)
    (item,) = logins(app)
    assert item.username == clean(str(username), 255)


def test_details_are_cleaned_and_bounded(app: Flask) -> None:
    nested = {"a\x00": ["\ud800", {"b": "\x00"}], "n": 1.5, "none": None}
    with app.app_context():
        login_signal.send(app, username="ada", details=nested)
        for bad in ({"x": "y" * 5000}, {"x": float("nan")}, {"x": object()}, {"x": 10**400}):
            with pytest.raises(ValueError, match="details must"):
                login_signal.send(app, username="ada", details=bad)
    (item,) = logins(app)
    assert item.details == {"n": 1.5, "a\ufffd": ["\ufffd", {"b": "\ufffd"}], "none": None}


def test_what_a_signal_cannot_say_is_passed_over_or_refused(app: Flask) -> None:
    with app.app_context():
        login_signal.send(app, username="ada", reason="x" * 500, outcome="failure", action="logout", typo=1)
        for username in (None, b"ada", ["ada"]):
            with pytest.raises(TypeError, match="username must be a text"):
                login_signal.send(app, username=username)
    (item,) = logins(app)
    assert (item.action, item.outcome, item.reason) == ("login", "success", None)


@pytest.fixture
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings that other tests have brought about come again."""
    monkeypatch.setattr(receivers, "_warned", set())


@pytest.mark.usefixtures("nothing_said")
def test_an_unknown_argument_is_warned_of_once(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    odd: dict[str, Any] = {"user\nname": 1}
    with app.app_context():
        for _ in range(3):
            login_signal.send(app, username="ada", detials={"a": 1}, method="sso")
            login_failed_signal.send(app, username="ada", raeson="denied")
            logout_signal.send(app, username="ada", **odd)
            login_failed_signal.send(app, username="ada", reason="denied", method="sso", details={"a": 1})
    assert sorted(record.getMessage() for record in caplog.records) == [
        "the signal 'login' takes no argument 'detials': it is ignored; the nearest is 'details'",
        "the signal 'login-failed' takes no argument 'raeson': it is ignored; the nearest is 'reason'",
        "the signal 'logout' takes no argument 'user\ufffdname': it is ignored; the nearest is 'username'",
    ]
    assert {(record.name, record.levelname) for record in caplog.records} == {("audit_service", "WARNING")}
    assert len(logins(app)) == 12


FULL = {"a": "x" * 4080}


@pytest.mark.usefixtures("nothing_said")
@pytest.mark.parametrize(
    ("reason", "details", "stored"),
    [
        ("bad_pasword", None, {"reason": "bad_pasword"}),
        ("locked\x00\ud800", {}, {"reason": "locked\ufffd\ufffd"}),
        ("x" * 5000, {"a": 1}, {"a": 1, "reason": "x" * 255}),
        ("locked", {"reason": "the app's own"}, {"reason": "the app's own"}),
        ("locked", FULL, FULL),
        (7, None, {"reason": "int"}),
        (["locked"], None, {"reason": "list"}),
        (None, None, None),
    ],
)
def test_an_unknown_reason_is_kept_in_the_details(
    app: Flask, caplog: pytest.LogCaptureFixture, *, reason: object, details: object, stored: object
) -> None:
    with app.app_context():
        for _ in range(2):
            login_failed_signal.send(app, username="ada", reason=reason, details=details)
    assert [(item.reason, item.details) for item in logins(app)] == [("other", stored)] * 2
    assert len(caplog.records) == (0 if reason is None else 1)
    if reason == "bad_pasword":
        (message,) = caplog.messages
        assert message.startswith("'bad_pasword' is no reason of a failed login: it is stored as 'other', its text in ")
        assert message.endswith("; the nearest is 'bad_password'")


@pytest.mark.usefixtures("nothing_said")
@pytest.mark.parametrize("backend", ["sqlite"])
def test_warnings_are_bounded(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    with app.app_context():
        for n in range(receivers.WARNINGS_LIMIT + 20):
            login_failed_signal.send(app, username="ada", reason=f"made up {n}")
    assert len(caplog.records) == len(receivers._warned) == receivers.WARNINGS_LIMIT


@pytest.fixture
def failing(app: Flask) -> FlaskClient:
    """The service with views that fail; their errors reach the client as 500, as in production."""

    def raises() -> str:
        raise ValueError("password=hunter2")

    def breaks_the_session() -> str:
        db.session.execute(text("select no such thing"))
        return ""

    def signals_then_raises() -> str:
        login_signal.send(username="ada")
        raise ValueError

    for view in (raises, breaks_the_session, signals_then_raises):
        app.add_url_rule(f"/{view.__name__}", view_func=view)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return app.test_client()


def test_an_exception_becomes_an_event(app: Flask, failing: FlaskClient) -> None:
    with failing.session_transaction() as session:
        session["username"] = "ada"
    assert failing.get("/raises?token=hunter2", headers={"X-Request-ID": "r1"}).status_code == 500
    (item,) = errors(app)
    assert (item.exception_type, item.http_method, item.path, item.endpoint) == (
        "ValueError",
        "GET",
        "/raises",
        "raises",
    )
    assert (item.username, item.remote_addr, item.request_id, item.seq) == ("ada", "127.0.0.1", "r1", 1)
    assert item.message == "password=***"
    assert "in raises" in (item.traceback or "")
    assert "hunter2" not in f"{item}"


def test_errors_of_a_kind_that_come_again_and_again_are_counted(app: Flask, failing: FlaskClient) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        for _ in range(RECORDED + 3):
            assert failing.get("/raises").status_code == 500
            clock.shift(1)
        failing.get("/breaks_the_session")  # another kind
        assert len(errors(app)) == RECORDED + 1
        clock.move_to(NOON + WINDOW)
        failing.get("/raises")
        first, *_ = errors(app)
        (told,) = [item for item in errors(app) if item.traceback == ""]
    assert told.message == "… and 3 more of this kind between 2026-01-31T12:00:10Z and 2026-01-31T12:00:12Z"
    assert (told.fingerprint, told.exception_type) == (first.fingerprint, "ValueError")
    assert len(errors(app)) == RECORDED + 3  # the newest begins another window


def test_what_was_counted_is_told_when_the_recorder_stops(app: Flask, failing: FlaskClient) -> None:
    for _ in range(RECORDED + 2000):
        context_of(app).repeats.admit(Bug("v1:same", "ValueError"))
    context_of(app).recorder.start()
    context_of(app).recorder.stop()
    (told,) = errors(app)
    assert (told.message or "").startswith("… and 2,000 more of this kind between ")


def test_what_was_counted_is_told_when_its_window_is_over(
    app: Flask, failing: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if no further error comes."""
    monkeypatch.setattr("audit_service.trail.keeper.CHORE_INTERVAL", 0)
    with time_machine.travel(datetime.now(UTC) - WINDOW, tick=False):
        for _ in range(RECORDED + 1):
            failing.get("/raises")
    deadline = time.monotonic() + 20
    while len(errors(app)) < RECORDED + 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert (errors(app)[0].message or "").startswith("… and 1 more of this kind")


def test_a_broken_request_session_is_no_obstacle(app: Flask, failing: FlaskClient) -> None:
    assert failing.get("/breaks_the_session").status_code == 500
    (item,) = errors(app)
    assert item.exception_type.startswith("sqlalchemy.exc.")


def test_the_login_stays_when_the_view_fails_after_the_signal(app: Flask, failing: FlaskClient) -> None:
    assert failing.get("/signals_then_raises").status_code == 500
    assert [item.username for item in logins(app)] == ["ada"]
    assert [item.seq for item in errors(app)] == [2]


def test_the_original_error_is_never_hidden(
    app: Flask, failing: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_event: NewLogin) -> UUID:
        raise AuditUnavailable("no database")

    monkeypatch.setattr(context_of(app).recorder, "record", refuse)
    answer = failing.get("/raises")
    assert answer.status_code == 500
    assert "an exception could not be recorded" in caplog.text
    assert "ValueError" in caplog.text


def test_a_name_is_hashed_with_the_key_of_its_own_app() -> None:
    first, second = Flask("first"), Flask("second")
    for app in (first, second):
        app.config.update(TESTING=True, SECRET_KEY=f"the key of {app.name}", AUDIT_UNKNOWN_USERNAMES="hash")
        LoginAudit(app)
    with closing_trail(first), closing_trail(second):
        for context in (first.app_context(), second.app_context(), nullcontext()):
            with context:
                login_failed_signal.send(second, username="eve", reason=Reason.UNKNOWN_USER)
        names = told.logins(second, "username")
        assert (len(names), len(set(names))) == (3, 1)
