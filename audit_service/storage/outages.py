"""What an error of a database means: it cannot serve now, it is not migrated, or the fault is ours."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, PendingRollbackError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# Every class that such an error may have: of the drivers only sqlite3, which the spool uses without SQLAlchemy (see
# `wrapped`). The built-in TimeoutError is a turn that did not come.
DATABASE_ERRORS = (SQLAlchemyError, sqlite3.Error, TimeoutError)

MIGRATE = "'audit-service migrate' ('flask audit migrate' in an app with LoginAudit)"
NOT_MIGRATED = "the database is not at the revision that this program needs: run " + MIGRATE

QUERY_CANCELED = "57014"  # SQLSTATE

# SQLSTATE (PostgreSQL's manual, appendix A): connections, transactions to try again, resources, an operator or a
# time-out, the system, the server's own faults; read-only, time-outs in a transaction, no right, a lock.
_STATES = ("08", "40", "53", "57", "58", "XX", "25006", "25P03", "25P04", "42501", "55P03")
_HELD_STATES = ("40001", "40P01", "55P03")  # serialization, a deadlock, a lock that did not come
_UNMIGRATED_STATES = ("42P01", "42703", "3F000")  # no such table, column, schema
_CODES = frozenset(
    {
        sqlite3.SQLITE_INTERNAL,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOTADB,
    }
)
_UNMIGRATED_MESSAGES = ("no such table: ", "no such column: ")
_CLOSED = "Cannot operate on a closed database."  # the driver's words, for a file that was moved away a moment ago
_CLIENT_ERRORS = {"OperationalError", "InterfaceError", "InternalError"}  # as PEP 249 names the classes
_CANNOT_RECONNECT = "8s2b"  # SQLAlchemy's code for a transaction whose connection was lost


def is_outage(error: BaseException) -> bool:
    """Tell whether the database cannot serve now: it is away, read-only, full, locked, damaged, or overloaded.

    What the database says of the question or of the data is none. *error* is the driver's or SQLAlchemy's.
    """
    if isinstance(error, PoolTimeoutError | TimeoutError):
        return True
    if isinstance(error, PendingRollbackError):
        return error.code == _CANNOT_RECONNECT
    cause = driver_error(error)
    if isinstance(cause, sqlite3.Error):
        return _sqlite_code(cause) in _CODES or str(cause) == _CLOSED
    if not hasattr(cause, "sqlstate"):
        return False
    if (state := sqlstate(cause)) is None:  # the client's own, such as a connection that was lost
        return not _CLIENT_ERRORS.isdisjoint(kind.__name__ for kind in type(cause).__mro__)
    return state.startswith(_STATES)


def is_held(error: BaseException) -> bool:
    """Tell whether *error* says that others hold what is needed, so that the same succeeds when it is tried again."""
    cause = driver_error(error)
    if isinstance(cause, sqlite3.Error):
        return _sqlite_code(cause) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return isinstance(cause, TimeoutError) or sqlstate(cause) in _HELD_STATES


def is_unmigrated(error: BaseException) -> bool:
    """Tell whether *error*, or what caused it, says that the database lacks a table or a column."""
    cause = driver_error(error)
    if isinstance(cause, sqlite3.OperationalError):
        message = str(cause)
        return message.startswith(_UNMIGRATED_MESSAGES) or " has no column named " in message
    return sqlstate(cause) in _UNMIGRATED_STATES


def sqlstate(error: BaseException) -> str | None:
    """Return what PostgreSQL says in five characters that an *error* of its driver means; None if it says nothing."""
    state: str | None = getattr(driver_error(error), "sqlstate", None)
    return state


def driver_error(error: BaseException) -> BaseException:
    """Return the driver's error that caused *error*; without one, the first cause, or *error* itself."""
    while error.__cause__ is not None and not isinstance(error, sqlite3.Error) and not hasattr(error, "sqlstate"):
        error = error.__cause__
    return error


@contextmanager
def wrapped(database: Engine | Connection) -> Iterator[None]:
    """Raise what the driver raises as SQLAlchemy does, which forgets it where it sets an isolation level."""
    driver = database.dialect.loaded_dbapi
    try:
        yield
    except driver.Error as error:
        raise DBAPIError(None, None, error) from error


def _sqlite_code(error: sqlite3.Error) -> int:
    """Return the primary result code; 0 if the driver itself has raised the error."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
