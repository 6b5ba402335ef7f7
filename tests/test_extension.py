"""The extension in somebody else's app: same database, connections of its own."""

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from flask import Flask, Response
from sqlalchemy import select, text

from audit_service import LoginAudit
from audit_service.access.tokens import add_token
from audit_service.context import context_of
from audit_service.errors import NotConfiguredError, SettingsError
from audit_service.events.logins import NewLogin
from audit_service.settings.table import Settings
from audit_service.storage import schema
from audit_service.storage.database import make_engine
from audit_service.storage.models import LoginEvent
from audit_service.vocabulary import Scope
from tests.support.accounts import ACTOR
from tests.support.databases import new_postgres_database
from tests.support.host_app import Visit, close_host, create_host, db


def history(host: Flask, path: str = "/api/logins") -> list[dict[str, object]]:
    with host.app_context():
        token = add_token(db.session(), path, Scope.READ, by=ACTOR)
        db.session.commit()
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


@pytest.mark.parametrize("path", ["/api/logins", "/api/logins?remote_addr=10.0.0.0/8", "/api/logins.csv"])
def test_the_hosts_session_is_left_as_it_was(host: Flask, path: str) -> None:
    @host.before_request
    def begin() -> None:
        db.session.add(Visit(name="counted"))

    @host.after_request
    def end(answer: Response) -> Response:
        db.session.commit()
        return answer

    with host.app_context():
        token = add_token(db.session(), "reader", Scope.READ, by=ACTOR)
        db.session.commit()
    answer = host.test_client().get(path, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text
    with host.app_context():
        assert [visit.name for visit in db.session.scalars(select(Visit))] == ["counted"]


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
    LoginAudit.close(app)


def test_the_hosts_own_error_pages_do_not_hide_ours(host: Flask) -> None:
    host.register_error_handler(404, lambda _error: ("the host's page", 404))
    host.register_error_handler(401, lambda _error: ("the host's page", 401))
    client = host.test_client()
    answers = [client.get("/api/logins"), client.get("/api/nothing"), client.post("/api/logins")]
    assert [(answer.status_code, answer.mimetype) for answer in answers] == [
        (status, "application/problem+json") for status in (401, 404, 405)
    ]
    assert client.get("/nothing").text == "the host's page"
    assert "/login/" not in answers[0].get_json()["detail"]  # the host has no such page


def test_an_event_that_cannot_be_stored_is_a_503(host: Flask) -> None:
    context_of(host).recorder.spool_path = None
    with host.app_context(), db.engine.begin() as connection:
        connection.execute(text("DROP TABLE trail_head"))
    answer = host.test_client().post("/enter", data={"name": "ada"})
    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")


def test_another_database_beside_the_hosts_is_refused(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_DATABASE_URL", "postgresql://somewhere/else")
    with pytest.raises(SettingsError, match="names another database than SQLALCHEMY_DATABASE_URI"):
        create_host(database_url)


def test_the_hosts_connection_arguments_are_kept(postgres_url: str) -> None:
    """On PostgreSQL only: SQLite has no schemas."""
    with new_postgres_database(postgres_url) as url:
        engine = make_engine(Settings(database_url=f"{url}?options=-csearch_path%3Dtenant").url)
        with engine.begin() as connection:
            connection.execute(text("CREATE SCHEMA tenant"))
        schema.migrate(engine)
        engine.dispose()
        host = create_host(url, connect_args={"options": "-c search_path=tenant"})
        assert host.test_client().post("/enter", data={"name": "ada"}).text == "welcome"
        close_host(host)


def test_a_database_in_memory_is_refused() -> None:
    with pytest.raises(SettingsError, match="in-memory SQLite"):
        create_host("sqlite://")


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name in ("audit-writer", "audit-keeper")}


def test_closing_gives_back_what_the_trail_has_taken(host: Flask) -> None:
    client = host.test_client()
    for name in ("ada", "bob"):  # after the first one, what comes later opens all of it again
        client.post("/enter", data={"name": name})
        assert threads() == {"audit-writer", "audit-keeper"}
        with host.app_context():
            pool = db.engine.pool
        LoginAudit.close(host)
        assert threads() == set()
        with host.app_context():
            assert db.engine.pool is pool  # the host's own connections are not ours to close
    assert {item["username"] for item in history(host)} == {"ada", "bob"}


def test_closing_closes_the_connections_of_a_database_that_the_host_did_not_make(config: dict[str, object]) -> None:
    app = Flask("plain")
    app.config.update(config)
    LoginAudit(app)
    with app.app_context():
        engine = app.extensions["sqlalchemy"].engine
    pool = engine.pool
    with engine.connect():
        pass
    LoginAudit.close(app)
    assert engine.pool is not pool
    assert pool.checkedin() == 0


def test_events_that_come_while_the_trail_is_closed_are_stored(host: Flask) -> None:
    recorder = context_of(host).recorder
    started = threading.Barrier(9)

    def record() -> list[UUID]:
        started.wait()
        return [recorder.record(NewLogin(app="host", username="ada")) for _ in range(10)]

    with ThreadPoolExecutor(8) as pool:
        recording = [pool.submit(record) for _ in range(8)]
        started.wait()
        while not all(each.done() for each in recording):
            LoginAudit.close(host)
    ids = {each for future in recording for each in future.result()}
    with host.app_context():
        assert set(db.session.scalars(select(LoginEvent.id))) == ids


def test_an_app_without_a_trail_cannot_be_closed() -> None:
    with pytest.raises(NotConfiguredError, match="'empty' has no audit trail"):
        LoginAudit.close(Flask("empty"))
