"""While the database is away: reports are taken, and attempts that cannot be checked are recorded."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import psycopg
import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import make_url
from uuid_utils.compat import uuid7

from audit_service import LoginAudit
from audit_service.access.tokens import revoke_token
from audit_service.context import context_of, write_session
from audit_service.events.logins import NewLogin
from audit_service.values.flood import RECORDED
from audit_service.vocabulary import Scope
from tests.support.accounts import ACTOR
from tests.support.fault_tools import wait_for_empty_spool
from tests.support.logins import ADA, by_seq, logins, new_token, report
from tests.support.waiting import wait_until

WINDOW = timedelta(seconds=900)  # the default of AUDIT_THROTTLE_WINDOW
Away = Callable[[Flask], AbstractContextManager[Path]]


@pytest.fixture
def away(backend: str, database_url: str, config: dict[str, object], request: pytest.FixtureRequest) -> Away:
    """A ``with`` block without the database, which gives the spool; at its end the database is back."""
    spool = Path(str(config["AUDIT_DATA_DIR"])) / "spool.db"

    @contextmanager
    def without_file(app: Flask) -> Iterator[Path]:
        path = Path(make_url(database_url).database or "")
        LoginAudit.close(app)
        path.rename(path.with_name("elsewhere"))
        path.mkdir()
        yield spool
        path.rmdir()
        path.with_name("elsewhere").rename(path)

    @contextmanager
    def without_connections(app: Flask) -> Iterator[Path]:
        """Those that are open break while somebody waits for them, as when the server is stopped."""
        name = make_url(database_url).database
        with closing(psycopg.connect(request.getfixturevalue("postgres_url"), autocommit=True)) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            yield spool
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())

    return without_file if backend == "sqlite" else without_connections


def spooled(path: Path) -> list[NewLogin]:
    """The logins that wait, of whichever trail."""
    with closing(sqlite3.connect(path)) as file:
        rows = file.execute("SELECT event FROM events WHERE kind = 'login' ORDER BY place").fetchall()
    return [msgspec.json.decode(row[0], type=NewLogin) for row in rows]


def test_reports_are_taken_with_a_token_that_was_good_before(app: Flask, client: FlaskClient, away: Away) -> None:
    shop, unused, reader = new_token(app, "shop"), new_token(app, "unused"), new_token(app, "reader", Scope.READ)
    assert report(client, shop, ADA).status_code == 200
    assert client.get("/api/logins?limit=1", headers=reader).status_code == 200
    item = {"username": "bob", "outcome": "failure", "reason": "bad_password", "id": str(uuid7())}
    with away(app) as spool:
        assert report(client, shop, item).status_code == 200
        assert report(client, shop, [ADA, item, ADA]).status_code == 200
        for headers in (unused, {"Authorization": "Bearer x"}, {"Authorization": shop["Authorization"] + "x"}):
            assert report(client, headers, ADA).status_code == 503
        assert report(client, reader, ADA).status_code == 503
        assert client.get("/api/logins", headers=shop).status_code == 503
        assert len(spooled(spool)) == 4
    wait_for_empty_spool(spool)
    assert sorted(each.username or "" for each in logins(app)) == ["ada", "ada", "ada", "bob"]
    assert {str(each.details) for each in logins(app)} == {"{'token': 'shop'}"}


def test_a_token_is_known_for_an_hour_and_not_when_it_is_revoked(app: Flask, client: FlaskClient, away: Away) -> None:
    shop, gone = new_token(app, "shop"), new_token(app, "gone")
    assert [report(client, headers, ADA).status_code for headers in (shop, gone)] == [200, 200]
    with app.app_context(), write_session() as session:
        revoke_token(session, "gone", by=ACTOR)
    assert report(client, gone, ADA).status_code == 401
    with away(app):
        assert [report(client, headers, ADA).status_code for headers in (shop, gone)] == [200, 503]
        with time_machine.travel(timedelta(hours=1)):
            assert report(client, shop, ADA).status_code == 503


def test_without_a_spool_no_report_is_taken(
    make_app: Callable[..., Flask], away: Away, capfd: pytest.CaptureFixture[str]
) -> None:
    app = make_app(AUDIT_SPOOL="off", AUDIT_WRITE_TIMEOUT=2)
    client, shop = app.test_client(), new_token(app, "shop")
    assert report(client, shop, ADA).status_code == 200
    with away(app):
        answer = report(client, shop, {**ADA, "username": "bob"})
        assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
    assert '"username":"bob"' in capfd.readouterr().err


def attempt(client: FlaskClient, username: str, address: str = "192.0.2.7") -> int:
    fields = {"username": username, "password": "correct horse battery"}
    return client.post("/login/", data=fields, environ_overrides={"REMOTE_ADDR": address}).status_code


@pytest.mark.parametrize("policy", ["keep", "hash", "mask"])
def test_an_attempt_that_cannot_be_checked_is_recorded(make_app: Callable[..., Flask], away: Away, policy: str) -> None:
    app = make_app(AUDIT_UNKNOWN_USERNAMES=policy)
    client = app.test_client()
    assert attempt(client, "ada") == 401
    with away(app) as spool:
        assert attempt(client, "my secret password") == 503
        (waiting,) = spooled(spool)
        assert ("secret" in waiting.username) is (policy == "keep")
    wait_for_empty_spool(spool)
    item = by_seq(app)[-1]
    with app.test_request_context():
        assert item.username == context_of(app).unknown_username("my secret password")
    assert (item.outcome, item.reason, item.method) == ("failure", "provider_error", "password")
    assert (item.remote_addr, item.network, item.details) == ("192.0.2.7", "192.0.2.0/24", None)


def test_many_attempts_that_cannot_be_checked_are_counted(app: Flask, client: FlaskClient, away: Away) -> None:
    """An anonymous flood must fill neither the spool nor, later, the trail."""
    with away(app) as spool:
        statuses = [attempt(client, f"user-{n}", f"192.0.2.{n}") for n in range(RECORDED + 5)]
        statuses += [attempt(client, "ada", "198.51.100.1")]
        assert set(statuses) == {503}
        assert len(spooled(spool)) == RECORDED + 1
        with time_machine.travel(WINDOW):  # the window is over, and the database still away
            assert attempt(client, "user-0") == 503
        (told,) = [event for event in spooled(spool) if event.username == "*"]
        assert (told.network, told.reason, (told.details or {})["count"]) == ("192.0.2.0/24", "provider_error", 5)
        for n in range(RECORDED + 1):
            attempt(client, f"user-{n}")
    context_of(app).recorder.stop()
    with time_machine.travel(2 * WINDOW + timedelta(seconds=5)):
        client.get("/healthz")  # starts the recorder, whose chores come first
        wait_until(lambda: len([item for item in logins(app) if item.username == "*"]) == 2, "it is not told")
    wait_for_empty_spool(spool)
    counts = [item.details for item in by_seq(app) if item.username == "*"]
    assert [sorted(details or {}) for details in counts] == [["count", "first", "last"]] * 2
    assert [(details or {})["count"] for details in counts] == [5, 2]
    assert len(logins(app)) == RECORDED + 1 + 1 + RECORDED - 1 + 2


def test_attempts_that_could_not_be_checked_do_not_throttle(app: Flask, client: FlaskClient, away: Away) -> None:
    with away(app) as spool:
        assert {attempt(client, "ada") for _ in range(RECORDED)} == {503}
    wait_for_empty_spool(spool)
    assert len(logins(app)) == RECORDED
    assert attempt(client, "ada") == 401
