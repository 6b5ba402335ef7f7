"""Waits for PostgreSQL that end."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from psycopg.errors import QueryCanceled
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from audit_service.settings.table import Settings
from audit_service.storage.bounded import bound_waits, patient
from audit_service.storage.connections import NoAnswerError
from audit_service.storage.database import engine_options
from audit_service.web.answers import describe_and_log

PATIENCE = 0.5  # seconds


@pytest.fixture(params=["postgresql"])
def backend() -> str:
    """SQLite has no server to wait for."""
    return "postgresql"


@pytest.fixture
def bounded(database_url: str) -> Iterator[Engine]:
    url = Settings(database_url=database_url).url
    engine = create_engine(url, isolation_level="AUTOCOMMIT", **engine_options(url))
    bound_waits(engine, PATIENCE)
    yield engine
    engine.dispose()


def test_a_slow_question_is_ended_and_delays_no_other(bounded: Engine, app: Flask) -> None:
    started = time.monotonic()
    with bounded.connect() as connection, pytest.raises(OperationalError) as caught:
        connection.execute(text("SELECT pg_sleep(30)"))
    assert time.monotonic() - started < 10
    assert isinstance(caught.value.orig, QueryCanceled)
    with app.app_context():
        assert describe_and_log(caught.value) == (
            503,
            "this takes the database too long: please ask for less, for example with since and until",
        )
    with bounded.connect() as connection:  # at once: a server that answers does not hang
        assert connection.scalar(text("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)'")) == 0


def test_a_server_that_hangs_is_left_alone_for_a_while(bounded: Engine) -> None:
    with bounded.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        driver.execute("SET statement_timeout = 0")  # a server that hangs ends nothing by itself
        driver.commit()
        with pytest.raises(OperationalError) as caught:
            connection.execute(text("SELECT pg_sleep(30)"))
        assert isinstance(caught.value.orig, NoAnswerError)
    end = time.monotonic() + 30
    refused = 0
    while time.monotonic() < end:  # who asks meanwhile does not make the while longer
        try:
            bounded.connect().close()
        except OperationalError as error:
            assert "did not answer a moment ago" in str(error)  # noqa: PT017 - each time but the last
            refused += 1
            time.sleep(0.01)
        else:
            break
    assert refused > 0
    assert time.monotonic() < end


@pytest.mark.parametrize("isolation", ["AUTOCOMMIT", "REPEATABLE READ"])
def test_some_questions_may_take_longer(bounded: Engine, isolation: str) -> None:
    limit = text("SHOW statement_timeout")
    with bounded.execution_options(isolation_level=isolation).connect() as connection:
        with patient(connection, 60):
            assert connection.scalar(limit) == "54s"
            connection.execute(text("SELECT pg_sleep(0.6)"))
        connection.rollback()
        assert connection.scalar(limit) == "450ms"
