"""Connections to PostgreSQL that wait no longer than they are told, even for a server that hangs.

A server's own timeouts end what it works on. They are of no use when it does not work at all: stopped, swapping, or
behind a network that swallows packets. So the client looks at its own clock, too.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.types.string import TextLoader
from sqlalchemy import Connection, Engine, event

from audit_service.storage.poolers import Connector, PoolableConnection, and_setting

# After a server did not answer in time, nobody else waits for it for so long (seconds): one look each second is enough.
PAUSE = 1.0


class BoundedConnection(PoolableConnection):
    """Waits for the server at most ``patience`` seconds at a time, and not beyond ``deadline`` (``time.monotonic``).

    When the time is up the connection is closed, since nobody knows what the server makes of the rest, and
    ``psycopg.OperationalError`` is raised.
    """

    patience = float("inf")
    deadline = float("inf")

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for the answer."""
        left = max(0.0, min(self.patience, self.deadline - time.monotonic()))
        if timeout is not None or left == float("inf"):
            return super().wait(gen, interval, timeout)
        started = time.monotonic()
        try:
            return super().wait(gen, interval, left)
        except psycopg.OperationalError:
            if time.monotonic() - started < left:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(f"the database did not answer within {left:.1f} s") from None


@contextmanager
def patient(connection: Connection, patience: float) -> Iterator[None]:
    """Let a bounded *connection* wait up to *patience* seconds at a time meanwhile: some questions take long."""
    driver = connection.connection.dbapi_connection
    if not isinstance(driver, BoundedConnection):
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
            with suppress(psycopg.OperationalError):  # of a connection that is gone
                driver.execute("RESET statement_timeout")


def _server_limit(patience: float) -> int:
    """When the server ends a statement, in milliseconds: before the client does, who would take it for gone."""
    return int(patience * 900)


def bound_waits(engine: Engine, patience: float = float("inf")) -> None:
    """Let connections of *engine* wait at most *patience* seconds at a time, also behind a pooler (see ``poolers``).

    SQLite needs nothing of it.
    """
    if engine.dialect.name != "postgresql":
        return
    hung_until = 0.0
    connector = Connector(BoundedConnection)

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: list[Any], parameters: dict[str, Any]) -> BoundedConnection:
        nonlocal hung_until
        if time.monotonic() < hung_until:
            raise psycopg.OperationalError("the database did not answer a moment ago")
        options = parameters.get("options", "")
        if patience != float("inf"):
            options += f" -c statement_timeout={_server_limit(patience)}"
        try:
            connection = connector.connect(arguments, {**parameters, "options": options})
        except psycopg.errors.ConnectionTimeout:
            hung_until = time.monotonic() + PAUSE
            raise
        connection.patience = patience
        connection.adapters.register_loader("inet", TextLoader)  # we want texts; Python's objects for them are slow
        connector.settle(connection, options)
        return connection

    @event.listens_for(engine, "handle_error")
    def note(context: Any) -> None:
        nonlocal hung_until
        if "did not answer within" in str(context.original_exception):
            hung_until = time.monotonic() + PAUSE
