"""Callables of the app that have a say in its events: what they return is checked, what they raise costs nothing."""

from collections.abc import Callable

import pytest
from flask import Flask
from msgspec.structs import replace

from audit_service import LoginAudit, login_signal, record_error
from audit_service.events.base import NewEvent
from audit_service.events.logins import NewLogin
from tests.support.told import closing_trail, errors, logins, lose_database


def create_app(transform: Callable[[NewEvent], NewEvent], **settings: object) -> Flask:
    app = Flask("host")
    app.config.update(TESTING=True, **settings)
    LoginAudit(app, transform=transform)
    return app


def changing(**changes: object) -> Callable[[NewEvent], NewEvent]:
    return lambda event: replace(event, **changes) if isinstance(event, NewLogin) else event


def fail(_event: NewEvent) -> NewEvent:
    raise ValueError("password=hunter2")


@pytest.mark.parametrize(
    "changes", [{"remote_addr": "a\nb"}, {"remote_addr": "::ffff:192.0.2.7"}, {"network": "nowhere"}, {"reason": "x"}]
)
def test_what_no_event_can_have_is_not_stored(changes: dict[str, object]) -> None:
    with closing_trail(create_app(changing(**changes))) as app:
        with app.test_request_context(environ_base={"REMOTE_ADDR": "192.0.2.7"}):
            login_signal.send(app, username="ada")
        assert logins(app, "username", "remote_addr", "network", "reason") == [
            ("ada", "192.0.2.7", "192.0.2.0/24", None)
        ]
        assert len(errors(app, "message")) == 1


def test_texts_are_made_fit_to_store() -> None:
    with closing_trail(create_app(changing(request_id="\ud800" * 200, username="a\nb"))) as app:
        with app.app_context():
            login_signal.send(app, username="ada")
        assert logins(app, "request_id", "username") == [("\ufffd" * 128, "a\ufffdb")]


def test_a_message_keeps_its_lines() -> None:
    with closing_trail(create_app(lambda event: event)) as app:
        with app.app_context():
            record_error(RuntimeError("first\nsecond"))
        assert errors(app, "message") == [("first\nsecond",)]


def test_a_broken_transform_does_not_refuse_a_login_that_is_allowed(caplog: pytest.LogCaptureFixture) -> None:
    with closing_trail(create_app(fail, AUDIT_UNAVAILABLE="allow", AUDIT_WRITE_TIMEOUT=0.1)) as app:
        lose_database(app)
        with app.app_context():
            ((_receiver, event_id),) = login_signal.send(app, username="ada")
        assert event_id is None
    assert "an event of 'host' is lost" in caplog.text
    assert "identify, exclude or transform of the app 'host' has failed: ValueError: password=***" in caplog.text
    assert "hunter2" not in "".join(record.getMessage() for record in caplog.records if record.name == "audit_service")
