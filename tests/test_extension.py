"""The extension in somebody else's app: connections of its own, and nothing of the app is changed."""

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from flask import Flask, Response
from sqlalchemy import select, text

from audit_service import LoginAudit
from audit_service.context import context_of
from audit_service.errors import NotConfiguredError
from audit_service.events.logins import NewLogin
from tests.support.host_app import Visit, db, history, read_headers


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

    answer = host.test_client().get(path, headers=read_headers(host))
    assert answer.status_code == 200, answer.text
    with host.app_context():
        assert [visit.name for visit in db.session.scalars(select(Visit))] == ["counted"]


def test_without_a_token_the_history_is_closed(host: Flask) -> None:
    assert host.test_client().get("/api/logins").status_code == 401


def test_a_second_call_is_refused(host: Flask) -> None:
    with pytest.raises(NotConfiguredError, match="'host' has an audit trail already"):
        LoginAudit(host)


def test_the_hosts_own_error_pages_do_not_hide_ours(host: Flask) -> None:
    for code in (401, 404, 405):
        host.register_error_handler(code, lambda error: ("the host's page", error.code))
    client = host.test_client()
    answer = client.get("/api/logins")
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    assert "/login/" not in answer.get_json()["detail"]  # the host has no such page
    ours = client.get("/api/logins/0", headers=read_headers(host))
    assert (ours.status_code, ours.mimetype) == (404, "application/problem+json")
    for answer in (client.get("/nothing"), client.get("/api/nothing"), client.post("/api/logins")):
        assert answer.text == "the host's page"


def test_an_event_that_cannot_be_stored_is_a_503(host: Flask) -> None:
    context = context_of(host)
    context.recorder.spool_path = None
    with context.writer.begin() as connection:
        connection.execute(text("DROP TABLE trail_head"))
    answer = host.test_client().post("/enter", data={"name": "ada"})
    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")


def test_an_app_without_sqlalchemy_is_not_given_one(config: dict[str, object]) -> None:
    app = Flask("plain")
    app.config.update(config)
    LoginAudit(app)
    assert "sqlalchemy" not in app.extensions
    assert history(app) == []
    LoginAudit.close(app)


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name in ("audit-writer", "audit-keeper")}


def test_closing_gives_back_what_the_trail_has_taken(host: Flask) -> None:
    client = host.test_client()
    reader = context_of(host).reader
    for name in ("ada", "bob"):  # after the first one, what comes later opens all of it again
        client.post("/enter", data={"name": name})
        assert threads() == {"audit-writer", "audit-keeper"}
        with reader.connect():
            ours = reader.pool
        with host.app_context():
            pool = db.engine.pool
        LoginAudit.close(host)
        assert threads() == set()
        assert reader.pool is not ours
        with host.app_context():
            assert db.engine.pool is pool  # the host's own connections are not ours to close
    assert {item["username"] for item in history(host)} == {"ada", "bob"}


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
    assert {UUID(item["id"]) for item in history(host, "/api/logins?limit=100")} == ids


def test_an_app_without_a_trail_cannot_be_closed() -> None:
    with pytest.raises(NotConfiguredError, match="'empty' has no audit trail"):
        LoginAudit.close(Flask("empty"))
