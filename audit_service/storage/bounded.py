"""Waits for PostgreSQL that end, even for a server that hangs.

A server's own timeouts end what it works on. They are of no use when it does not work at all: stopped, swapping, or
behind a network that swallows packets. So the client looks at its own clock, too.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Engine

from audit_service.storage.dialects import is_postgresql
from audit_service.storage.session_settings import and_setting


@contextmanager
def patient(connection: Connection, patience: float) -> Iterator[None]:
    """Let a bounded *connection* wait up to *patience* seconds at a time meanwhile: some questions take long."""
    driver: Any = connection.connection.dbapi_connection
    if not hasattr(driver, "patience"):
        yield
        return
    usual = driver.patience, driver.settings
    has_transaction = not driver.autocommit  # the server's own limit is then as it was when that ends
    try:
        driver.patience = patience
        if has_transaction or not driver.settings:
            limit = f"SET {'LOCAL' if has_transaction else ''} statement_timeout = {_server_limit(patience)}"
            connection.exec_driver_sql(limit, execution_options={"stream_results": False})
        else:
            driver.settings = and_setting(driver.settings, "statement_timeout", str(_server_limit(patience)))
        yield
    finally:
        driver.patience, driver.settings = usual
        if not has_transaction and not driver.settings:
            with suppress(connection.dialect.loaded_dbapi.OperationalError):  # of a connection that is gone
                driver.execute("RESET statement_timeout")


def _server_limit(patience: float) -> int:
    """Return when the server ends a statement, in milliseconds: before the client takes the server for gone."""
    return int(patience * 900)


def bound_waits(engine: Engine, patience: float = float("inf")) -> None:
    """Let connections of *engine* wait at most *patience* seconds at a time, also behind a pooler (see ``poolers``).

    SQLite needs nothing of it.
    """
    if not is_postgresql(engine):
        return
    from audit_service.storage.connections import bound  # noqa: PLC0415 - psycopg: an app on SQLite need not have it

    bound(engine, patience, "" if patience == float("inf") else f" -c statement_timeout={_server_limit(patience)}")
