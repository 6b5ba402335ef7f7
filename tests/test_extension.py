"""The extension in somebody else's app: same database, connections of its own."""

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from audit_service import LoginAudit
from audit_service.context import context_of
from audit_service.errors import NotConfiguredError, SettingsError
from audit_service.tokens import add_token
from audit_service.vocabulary import Scope
from tests.host_app import Visit, create_host, db


@pytest.fixture
def host(database_url: str) -> Iterator[Flask]:
    app = create_host(database_url)
    yield app
    context_of(app).recorder.engine.dispose()
    with app.app_context():
        db.engine.dispose()


def history(host: Flask, path: str = "/api/logins") -> list[dict[str, object]]:
    with host.app_context():
        token = add_token(db.session(), path, Scope.READ)
    answer = host.test_client().get(path, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    items: list[dict[str, object]] = answer.get_json()["items"]
    return items


def test_the_hosts_login_is_in_the_trail_and_in_the_api(host: Flask) -> None:
    assert host.test_client().post("/enter", data={"name": "ada"}).text == "welcome"
    (item,) = history(host)
    assert (item["username"], item["app"], item["seq"]) == ("ada", "host", 1)


def test_the_hosts_rollback_does_not_take_the_event_along(host: Flask) -> None:
    assert host.test_client().post("/enter-and-fail", data={"name": "ada"}).status_code == 500
    assert [item["username"] for item in history(host)] == ["ada"]
    assert [item["exception_type"] for item in history(host, "/api/errors")] == ["RuntimeError"]
    with host.app_context():
        assert db.session.scalars(select(Visit)).all() == []


def test_without_a_token_the_history_is_closed(host: Flask) -> None:
    assert host.test_client().get("/api/logins").status_code == 401


def test_a_second_call_is_refused(host: Flask) -> None:
    with pytest.raises(NotConfiguredError, match="'host' has an audit trail already"):
        LoginAudit(host)


def test_an_app_without_flask_sqlalchemy_gets_one(config: dict[str, object]) -> None:
    app = Flask("plain")
    app.config.update(config)
    LoginAudit(app)
    assert "sqlalchemy" in app.extensions
    context_of(app).recorder.engine.dispose()
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()


def test_a_database_in_memory_is_refused() -> None:
    with pytest.raises(SettingsError, match="in-memory SQLite"):
        create_host("sqlite://")
