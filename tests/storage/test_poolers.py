"""Behind a real PgBouncer in transaction mode, which refuses our start-up options or ignores them."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from psycopg.errors import QueryCanceled
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from audit_service.context import end_reading, read_session, write_session
from audit_service.settings.table import Settings
from audit_service.storage import schema
from audit_service.storage.bounded import bound_waits, patient
from audit_service.storage.connections import BoundedConnection
from audit_service.storage.database import engine_options, make_engine
from audit_service.storage.outages import DATABASE_ERRORS, is_outage
from audit_service.storage.session_settings import settings_of
from audit_service.trail.recorder import Recorder
from tests.factories import LoginFactory
from tests.support.databases import new_postgres_database
from tests.support.fault_tools import assert_nothing_lost, wait_for_empty_spool
from tests.support.pgbouncer import SESSIONS, NoPgBouncerError, pgbouncer

OURS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "jit", "timezone")


@pytest.fixture(params=["refuses", "ignores"])
def behaviour(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def direct_url(postgres_url: str, postgres_template: str) -> Iterator[str]:
    with new_postgres_database(postgres_url, postgres_template) as url:
        yield url


@pytest.fixture
def database_url(direct_url: str, behaviour: str) -> Iterator[str]:
    """The database by way of the pooler, for all fixtures."""
    try:
        with pgbouncer(direct_url, ignores_options=behaviour == "ignores") as url:
            yield url
    except NoPgBouncerError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI=true and {error}")
        pytest.skip(str(error))


@pytest.fixture
def passwordless(config: dict[str, object]) -> None:
    """Ask for this before ``app``."""
    config["AUDIT_LOGIN"] = "passwordless"


def test_logins_and_reads_at_once(passwordless: None, app: Flask, token: dict[str, str], database_url: str) -> None:
    """More of them than the pooler has sessions, and often enough that a driver would prepare its statements."""
    paths = [
        "/api/logins?limit=3",
        "/api/logins/summary?by=username",
        "/api/logins/last?username=user-1-1",
        "/api/logins/last?username=a",
    ]

    def use(n: int) -> list[str]:
        client, events = app.test_client(), []
        for turn in range(8):
            answer = client.post("/login/", data={"username": f"user-{n}-{turn}"})
            assert answer.status_code == 200, answer.text
            events.append(answer.get_json()["event"])
            answer = client.get(paths[turn % 4], headers=token)
            assert answer.status_code == 200, answer.text
        assert client.post("/logout/").status_code == 200
        return events

    with ThreadPoolExecutor(SESSIONS * 3) as threads:
        acknowledged = [event for events in threads.map(use, range(SESSIONS * 3)) for event in events]
    assert app.test_client().get("/readyz").get_json()["recorder"]["spooled"] == 0
    assert len(app.test_client().get("/api/logins.ndjson", headers=token).text.splitlines()) > len(acknowledged)
    assert_nothing_lost(database_url, acknowledged)


def settings_in(connection: psycopg.Connection) -> list[object]:
    return [connection.execute(f"SELECT current_setting('{name}')".encode()).fetchone() for name in OURS]


def test_settings_are_those_of_our_transactions_only(
    app: Flask, client: FlaskClient, token: dict[str, str], direct_url: str, database_url: str
) -> None:
    LoginFactory.create_batch(20)
    for _ in range(20):
        assert client.get("/api/logins/summary?by=hour", headers=token).status_code == 200
    with psycopg.connect(direct_url) as direct, ExitStack() as stack:
        for _ in range(SESSIONS):  # at the same time: each has another session
            other = stack.enter_context(psycopg.connect(database_url, prepare_threshold=None))
            assert settings_in(other) == settings_in(direct)


@pytest.fixture
def bounded(database_url: str) -> Iterator[Engine]:
    url = Settings(database_url=database_url).url
    engine = create_engine(url, isolation_level="AUTOCOMMIT", **engine_options(url))
    bound_waits(engine, 1.5)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("isolation", ["AUTOCOMMIT", "READ COMMITTED", "REPEATABLE READ"])
def test_every_transaction_has_its_limits(bounded: Engine, isolation: str) -> None:
    limit = text("SHOW statement_timeout")
    with bounded.execution_options(isolation_level=isolation).connect() as connection:
        assert connection.scalar(limit) == "1350ms"
        with patient(connection, 60):
            assert connection.scalar(limit) == "54s"
        connection.rollback()
        assert connection.scalar(limit) == "1350ms"


def test_a_slow_question_is_ended_by_the_server(bounded: Engine) -> None:
    with bounded.connect() as connection:
        with pytest.raises(OperationalError) as caught:
            connection.execute(text("SELECT pg_sleep(30)"))
        assert isinstance(caught.value.orig, QueryCanceled)
        connection.rollback()
        assert connection.scalar(text("SELECT 1")) == 1


def test_a_locked_trail_is_not_waited_for(recorder: Recorder, direct_url: str, database_url: str) -> None:
    recorder.timeout = 0.5
    LoginFactory()
    with psycopg.connect(direct_url) as other:
        other.execute("UPDATE trail_head SET size = size")
        started = time.monotonic()
        event = LoginFactory()
        assert time.monotonic() - started < 0.5 * 1.25 + 0.2
        assert recorder.counters.spooled == 1
    assert recorder.spool_path
    wait_for_empty_spool(recorder.spool_path)
    assert_nothing_lost(database_url, [str(event.id)])


def test_a_session_that_ends_after_the_reading_costs_no_answer(app: Flask, direct_url: str) -> None:
    with app.test_request_context():
        pid = read_session().scalar(text("SELECT pg_backend_pid()"))
        with psycopg.connect(direct_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        end_reading()
        assert read_session().scalar(text("SELECT 1")) == 1


def test_a_session_that_ends_in_a_change_is_an_outage(app: Flask, direct_url: str) -> None:
    """The driver has an error of its own for it, without a SQLSTATE."""

    def change() -> None:
        with write_session() as session, psycopg.connect(direct_url, autocommit=True) as other:
            pid = session.scalar(text("SELECT pg_backend_pid()"))
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    with app.test_request_context():
        with pytest.raises(DATABASE_ERRORS) as caught:
            change()
        assert is_outage(caught.value)
        assert read_session().scalar(text("SELECT 1")) == 1


def test_migrating(postgres_url: str, behaviour: str, database_url: str) -> None:
    schema.downgrade(engine := make_engine(Settings(database_url=database_url).url))
    schema.migrate(engine)
    schema.require_newest(engine)
    engine.dispose()


def test_a_session_of_our_own_keeps_its_settings(direct_url: str) -> None:
    engine = make_engine(Settings(database_url=direct_url).url)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        assert connection.scalar(text("SHOW lock_timeout")) == "2s"
        driver = connection.connection.dbapi_connection
    assert isinstance(driver, BoundedConnection)
    assert driver.cursor_factory is psycopg.Cursor  # no statement costs more
    engine.dispose()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-c jit=off", "SELECT set_config('jit', E'off', true)"),
        (
            "-cjit=off --lock-timeout=2s",
            "SELECT set_config('jit', E'off', true), set_config('lock_timeout', E'2s', true)",
        ),
        ("-c jit=on -c jit=off", "SELECT set_config('jit', E'off', true)"),
        (r"-c search_path=a,\ b", "SELECT set_config('search_path', E'a, b', true)"),
        (r"-c a.b='\\", r"SELECT set_config('a.b', E'''\\', true)"),
    ],
)
def test_options_as_settings_of_a_transaction(options: str, expected: str) -> None:
    assert settings_of(options) == expected
