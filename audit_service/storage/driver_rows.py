"""Rows as the driver has them: where millions are read, SQLAlchemy's own take longer than what is done with them."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import Connection

from audit_service.storage.dialects import is_postgresql
from audit_service.storage.outages import wrapped


def fetch_rows(connection: Connection, query: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return all rows of *query*, in which ``?`` stands for a parameter, as tuples of what the driver makes of values.

    From PostgreSQL they come in the binary format, which is the quickest to read. A text in SQLite that is no UTF-8 is
    returned as bytes. Raises what SQLAlchemy raises.
    """
    driver: Any = connection.connection.driver_connection
    with wrapped(connection):
        if is_postgresql(connection):
            with driver.cursor(binary=True) as cursor:
                rows: list[tuple[Any, ...]] = cursor.execute(query.replace("?", "%s"), parameters).fetchall()
                return rows
        try:
            return _sqlite_rows(driver, query, parameters)
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
        driver.text_factory = _text_or_bytes
        try:
            return _sqlite_rows(driver, query, parameters)
        finally:
            driver.text_factory = str


def _sqlite_rows(driver: sqlite3.Connection, query: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with closing(driver.execute(query, parameters)) as cursor:
        return cursor.fetchall()


def _text_or_bytes(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
