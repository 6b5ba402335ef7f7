"""Connections to PostgreSQL that wait no longer than they are told. Only where there is one is psycopg imported."""

import time
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.types.string import TextLoader
from sqlalchemy import Engine, event

from audit_service.storage.poolers import Connector, PoolableConnection

PAUSE = 1.0  # seconds: after a server did not answer in time, no other connection waits for it for so long


class NoAnswerError(psycopg.OperationalError):
    """The server did not answer in time."""


class BoundedConnection(PoolableConnection):
    """Waits for the server at most ``patience`` seconds at a time, and not beyond ``deadline`` (``time.monotonic``).

    When the time is up the connection is closed, since the rest of the answer may come at any time or never, and
    ``NoAnswerError`` is raised.
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
            raise NoAnswerError(f"the database did not answer within {left:.1f} s") from None


def bound(engine: Engine, patience: float, more_options: str) -> None:
    """Make the connections of *engine* bounded ones, with *patience* in seconds and *more_options* of the session."""
    hung_until = 0.0
    connector = Connector(BoundedConnection)

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: list[Any], parameters: dict[str, Any]) -> BoundedConnection:
        nonlocal hung_until
        if time.monotonic() < hung_until:
            raise psycopg.OperationalError("the database did not answer a moment ago")
        options = parameters.get("options", "") + more_options
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
        if isinstance(context.original_exception, NoAnswerError):
            hung_until = time.monotonic() + PAUSE
