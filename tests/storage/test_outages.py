"""What the errors of real databases mean, and what is answered while a database cannot serve."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from audit_service.context import context_of
from audit_service.settings.table import Settings
from audit_service.storage.database import make_engine
from audit_service.storage.models import Account, ErrorEvent, TrailHead
from audit_service.storage.outages import DATABASE_ERRORS, is_outage, is_unmigrated, wrapped
from audit_service.storage.sqlite_file import MovedError
from audit_service.trail.turnstile import Turnstile
from audit_service.vocabulary import Role
from audit_service.web.answers import LOG_INTERVAL
from tests.support.host_app import read_headers
from tests.support.logins import errors, log_in
from tests.support.postgres import free_port

CHANGE = "UPDATE trail_head SET size = size"
OUTAGE, UNMIGRATED, FAULT = "outage", "unmigrated", "fault"
only_on_postgresql = pytest.mark.parametrize("backend", ["postgresql"])
only_on_sqlite = pytest.mark.parametrize("backend", ["sqlite"])


def meaning(provoke: Callable[[], object]) -> str:
    with pytest.raises(DATABASE_ERRORS) as caught:
        provoke()
    if is_unmigrated(caught.value):
        assert not is_outage(caught.value)
        return UNMIGRATED
    return OUTAGE if is_outage(caught.value) else FAULT


def execute(engine: Engine, *statements: str) -> None:
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (["SET TRANSACTION READ ONLY", CHANGE], OUTAGE),
        (["SET ROLE pg_monitor", CHANGE], OUTAGE),
        (["SELECT pg_terminate_backend(pg_backend_pid())"], OUTAGE),
        (["SET statement_timeout = '50ms'", "SELECT pg_sleep(10)"], OUTAGE),
        (["DROP TABLE trail_head", CHANGE], UNMIGRATED),
        (["ALTER TABLE trail_head RENAME size TO length", CHANGE], UNMIGRATED),
        (["SELECT * FROM no_schema.trail_head"], UNMIGRATED),
        (["SELECT 1 / 0"], FAULT),
        (["SELEC 1"], FAULT),
        (["SELECT no_such_function()"], FAULT),
        (["INSERT INTO trail_head SELECT * FROM trail_head"], FAULT),
        (["DELETE FROM login_events"], FAULT),  # what the triggers refuse
    ],
)
@only_on_postgresql
def test_what_postgresql_says(engine: Engine, statements: list[str], expected: str) -> None:
    assert meaning(lambda: execute(engine, *statements)) == expected


@only_on_postgresql
def test_every_class_of_states(engine: Engine) -> None:
    """Those that cannot be had by asking for them, as the server raises them."""
    outages = [
        "08006",
        "40001",
        "40P01",
        "53100",
        "53200",
        "53300",
        "55P03",
        "57P01",
        "57P03",
        "58030",
        "XX001",
        "25P03",
    ]
    faults = ["22P05", "23505", "25P02", "42601", "P0001", "55000", "0A000", "26000"]
    for states, expected in ((outages, OUTAGE), (faults, FAULT)):
        for state in states:
            raising = f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$"
            assert meaning(lambda: execute(engine, raising)) == expected, state  # noqa: B023 - called at once


@only_on_postgresql
def test_what_the_driver_of_postgresql_says(engine: Engine) -> None:
    lost: list[psycopg.Connection] = []

    def use_a_closed_connection() -> None:  # the driver's error, which SQLAlchemy does not wrap by itself
        with wrapped(engine), Session(engine) as session:
            driver = session.connection().connection.dbapi_connection
            session.rollback()
            assert isinstance(driver, psycopg.Connection)
            lost.append(driver)
            driver.close()
            driver.autocommit = True

    elsewhere = make_engine(engine.url.set(port=free_port()))
    nowhere = make_engine(engine.url.set(database="no_such_database"))
    with engine.connect() as connection:
        assert meaning(lambda: connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")) == OUTAGE
        assert meaning(lambda: connection.exec_driver_sql("SELECT 1")) == OUTAGE  # PendingRollbackError
    assert meaning(use_a_closed_connection) == OUTAGE
    assert meaning(elsewhere.connect) == OUTAGE
    assert meaning(nowhere.connect) == OUTAGE
    with engine.connect() as connection:
        assert meaning(lambda: connection.exec_driver_sql("SELECT %s", ("\0",))) == FAULT
        assert meaning(lambda: connection.exec_driver_sql("SELECT %s", (1, 2))) == FAULT


def test_a_pool_that_is_empty(database_url: str) -> None:
    engine = create_engine(Settings(database_url=database_url).url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    with engine.connect():
        assert meaning(engine.connect) == OUTAGE
    engine.dispose()


def test_a_session_that_failed_before_is_a_fault(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(Account(username="ada"))  # without a password
        assert meaning(session.flush) == FAULT
        assert meaning(lambda: session.get(TrailHead, 1)) == FAULT


def hold(engine: Engine, stack: ExitStack) -> None:
    connection = stack.enter_context(engine.connect())
    connection.exec_driver_sql(CHANGE)


def damage(engine: Engine, _stack: ExitStack) -> None:
    path = Path(str(engine.url.database))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(engine: Engine, _stack: ExitStack) -> None:
    Path(str(engine.url.database)).write_bytes(b"no database" * 1000)


def hide(engine: Engine, _stack: ExitStack) -> None:
    path = Path(str(engine.url.database))
    path.rename(path.with_suffix(".away"))
    path.mkdir()


def move(engine: Engine, _stack: ExitStack) -> None:
    path = Path(str(engine.url.database))
    path.rename(path.with_suffix(".away"))


def nothing(_engine: Engine, _stack: ExitStack) -> None:
    pass


@pytest.mark.parametrize(
    ("prepare", "statements", "expected"),
    [
        (hold, [CHANGE], OUTAGE),
        (damage, ["SELECT * FROM login_events", CHANGE], OUTAGE),
        (overwrite, [CHANGE], OUTAGE),
        (hide, [CHANGE], OUTAGE),
        (move, ["SELECT * FROM login_events"], OUTAGE),
        (nothing, ["PRAGMA query_only = ON", CHANGE], OUTAGE),
        (nothing, ["PRAGMA max_page_count = 1", "CREATE TABLE more AS SELECT zeroblob(100000)"], OUTAGE),
        (nothing, ["DROP TABLE trail_head", CHANGE], UNMIGRATED),
        (nothing, ["ALTER TABLE trail_head RENAME size TO length", CHANGE], UNMIGRATED),
        (nothing, ["INSERT INTO trail_head (length) VALUES (1)"], UNMIGRATED),
        (nothing, ["SELEC 1"], FAULT),
        (nothing, ["SELECT no_such_function()"], FAULT),
        (nothing, ["INSERT INTO trail_head SELECT * FROM trail_head"], FAULT),
    ],
)
@only_on_sqlite
def test_what_sqlite_says(
    database_url: str, prepare: Callable[[Engine, ExitStack], None], statements: list[str], expected: str
) -> None:
    engine = make_engine(Settings(database_url=database_url).url)
    event.listen(engine, "connect", lambda connection, _record: connection.execute("PRAGMA busy_timeout=0"))
    with ExitStack() as stack:
        prepare(engine, stack)
        assert meaning(lambda: execute(engine, *statements)) == expected
    engine.dispose()


@only_on_sqlite
def test_what_the_driver_of_sqlite_says(database_url: str, tmp_path: Path) -> None:
    path = Settings(database_url=database_url).url.database
    connection = sqlite3.connect(str(path))
    assert meaning(lambda: connection.execute("SELECT ?", (object(),))) == FAULT
    connection.close()
    assert is_outage(MovedError("the file was moved"))
    assert meaning(lambda: connection.execute("SELECT 1")) == OUTAGE, "another thread has left a file that was moved"
    turnstiles = Turnstile(tmp_path / "a"), Turnstile(tmp_path / "a")
    with turnstiles[0].passed(time.monotonic()):
        assert meaning(lambda: turnstiles[1].passed(time.monotonic()).__enter__()) == OUTAGE
    for turnstile in turnstiles:
        turnstile.close()


def test_a_file_that_is_moved_is_an_outage() -> None:
    assert is_outage(MovedError())


def test_other_errors_say_nothing_of_the_database() -> None:
    assert [is_outage(ValueError()), is_outage(OSError()), is_unmigrated(ValueError())] == [False] * 3


def turn_read_only(url: URL) -> None:
    """As a fail-over does, which leaves us with a replica."""
    with psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False)) as connection:
        connection.execute(f"ALTER DATABASE {url.database} SET default_transaction_read_only = on".encode())
        connection.commit()
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        connection.execute(f"SELECT pg_terminate_backend(pid) {others}".encode())


@only_on_postgresql
def test_a_read_only_database_is_no_fault_of_ours(
    config: dict[str, object], make_app: Callable[..., Flask], accounts: dict[Role, str]
) -> None:
    app = make_app(AUDIT_THROTTLE_NAME_LIMIT=1, PROPAGATE_EXCEPTIONS=False)
    client, anonymous = app.test_client(), app.test_client()
    assert log_in(client).status_code == 200
    statuses = [log_in(anonymous, "nobody").status_code for _ in range(12)]
    assert statuses == [401] + [429] * 11
    turn_read_only(Settings(database_url=str(config["AUDIT_DATABASE_URL"])).url)
    answers = [log_in(anonymous, "nobody") for _ in range(3)]  # counted refusals
    answers += [client.post("/logout/"), log_in(client)]  # ended sessions
    for answer in answers:
        assert (answer.status_code, answer.get_json()["type"]) == (503, "/api/problems/unavailable")
    assert client.get("/").get_json()["username"] == "user"
    assert errors(app) == []


PROVOCATIONS = {
    OUTAGE: {"postgresql": "SELECT pg_terminate_backend(pg_backend_pid())", "sqlite": "PRAGMA query_only = ON"},
    UNMIGRATED: dict.fromkeys(["postgresql", "sqlite"], "SELECT no_such_column FROM trail_head"),
    FAULT: dict.fromkeys(["postgresql", "sqlite"], "SELEC 1"),
}


@pytest.mark.parametrize("expected", PROVOCATIONS)
def test_what_is_answered_in_a_host_app(
    host: Flask, monkeypatch: pytest.MonkeyPatch, backend: str, expected: str
) -> None:
    """A fault of ours stays an unhandled exception, whatever class the driver has for it."""

    def fail(session: Session, *_: object, **__: object) -> None:
        for statement in (PROVOCATIONS[expected][backend], CHANGE):
            session.connection().exec_driver_sql(statement)

    headers = read_headers(host)
    monkeypatch.setattr("audit_service.history.query.list_events", fail)
    answer = host.test_client().get("/api/logins", headers=headers)
    assert answer.status_code == (500 if expected == FAULT else 503)
    assert answer.content_type == "application/problem+json"
    assert ("run 'audit-service migrate'" in answer.get_json()["detail"]) == (expected == UNMIGRATED)
    context_of(host).reader.dispose()
    with Session(context_of(host).reader) as session:
        assert session.query(ErrorEvent).count() == (expected == FAULT)


def test_the_log_of_an_outage_is_bounded(client: FlaskClient, engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE audit_tokens RENAME TO elsewhere"))
    with time_machine.travel(datetime(2026, 1, 31, 12, tzinfo=UTC), tick=False) as clock:
        for _ in range(3):
            assert client.get("/api/logins", headers={"Authorization": "Bearer x"}).status_code == 503
            clock.shift(1)
        clock.shift(LOG_INTERVAL)
        client.get("/api/logins", headers={"Authorization": "Bearer x"})
    first, more, again = [record.getMessage() for record in caplog.records if record.name == "audit_service"]
    assert first == again
    assert more == f"{first} (2 more answers between 2026-01-31 12:00:01 and 12:00:02 UTC)"
