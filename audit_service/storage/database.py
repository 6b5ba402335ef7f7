"""What is common to everything that touches the database: the base of the models, column types, engines."""

import ipaddress
import sqlite3
from datetime import UTC, datetime
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Engine, MetaData, String, create_engine, event
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.engine import URL
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeDecorator, TypeEngine

from audit_service.errors import SettingsError
from audit_service.settings.table import is_in_memory
from audit_service.storage import sqlite_file
from audit_service.storage.bounded import bound_waits
from audit_service.storage.dialects import is_postgresql, is_sqlite
from audit_service.storage.outages import MIGRATE
from audit_service.values import limits

BUSY_TIMEOUT = 2  # seconds to wait for a connection or for a lock
CACHED_STATEMENTS = 16  # that a connection to SQLite keeps; those with many values have megabytes
# Compiling a page's query takes longer than running it (jit).
_SERVER_OPTIONS = f"-c timezone=utc -c lock_timeout={BUSY_TIMEOUT}s -c jit=off"
_IN_NETWORK = "audit_in_network"
_MISSING = f"put it back, or name the right one (AUDIT_DATABASE_URL, AUDIT_DATA_DIR); {MIGRATE} makes a new one"
DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql+psycopg")


class Base(DeclarativeBase):
    """Base of the models. Constraints have names, so that a migration can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, in UTC, to the microsecond. Naive times are refused: they do not say which moment they mean."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Turn an aware time of any zone into UTC; raise ``ValueError`` for a naive one."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the time as aware, in UTC, whatever the database made of it."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class IpAddress(TypeDecorator[str]):
    """An IPv4 or IPv6 address in the canonical text of RFC 5952; INET on PostgreSQL."""

    impl = String(limits.ADDRESS)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose INET where there is one."""
        return dialect.type_descriptor(INET() if is_postgresql(dialect) else String(limits.ADDRESS))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Store the canonical form; raise ``ValueError`` for what is no address."""
        return None if value is None else str(ipaddress.ip_address(value))

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the text of RFC 5952, whatever the driver made of it."""
        return None if value is None else canonical_address(str(value))


def canonical_address(text: str) -> str:
    """Return an address that a database gives back as it was stored: PostgreSQL has ``::0.1.0.2`` for ``::1:2``."""
    return str(ipaddress.ip_address(text)) if ":" in text and "." in text else text


Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def engine_options(url: URL) -> dict[str, Any]:
    """Return keyword arguments for ``create_engine``: bounded waits, no values of rows in error messages.

    What the URL says of the connection comes before ours. Raises ``SettingsError`` for a database that is neither
    PostgreSQL (by psycopg) nor a SQLite file.
    """
    check_database(url)
    arguments: dict[str, Any] = {"timeout": BUSY_TIMEOUT, "cached_statements": CACHED_STATEMENTS}
    if is_postgresql(url):
        arguments = {"connect_timeout": BUSY_TIMEOUT, "application_name": "audit-service", **url.query}
        arguments["options"] = f"{_SERVER_OPTIONS} {url.query.get('options', '')}".strip()
    return {
        "hide_parameters": True,
        "pool_pre_ping": True,
        "pool_timeout": BUSY_TIMEOUT,
        "connect_args": arguments,
    }


def check_database(url: URL) -> None:
    """Raise ``SettingsError`` for a database that the trail cannot be kept in, or whose driver is not installed."""
    if url.drivername not in DRIVERS:
        raise SettingsError(f"the trail needs postgresql:// (psycopg) or sqlite:///, not {url.drivername[:30]}://")
    if is_in_memory(url):
        raise SettingsError("an in-memory SQLite database cannot hold the trail: name a file in AUDIT_DATABASE_URL")
    if is_postgresql(url) and find_spec("psycopg") is None:
        raise SettingsError(
            "a trail in PostgreSQL needs psycopg 3, also beside psycopg2: pip install 'audit-service[postgresql]'. "
            "LoginAudit(app, url='sqlite:///audit.db') keeps it in a file"
        )


def make_engine(url: URL, *, writes: bool = False, patience: float = float("inf")) -> Engine:
    """Make an engine of our own. With *writes* a transaction on SQLite takes the write lock as it begins.

    On PostgreSQL a connection waits for an answer *patience* seconds at most.
    """
    engine = create_engine(url, **engine_options(url))
    prepare_engine(engine, begin="BEGIN IMMEDIATE" if writes else "BEGIN")
    bound_waits(engine, patience)
    return engine


def make_writer(engine: Engine) -> Engine:
    """Return the engine for changes in the database of *engine*: on SQLite one whose transactions begin as writers.

    Else a change that begins with a look would fail if another connection has written since.
    """
    if not is_sqlite(engine):
        return engine
    options = {"hide_parameters": True, "connect_args": {"timeout": BUSY_TIMEOUT}}
    writer = create_engine(engine.url, **options, poolclass=NullPool)
    prepare_engine(writer, begin="BEGIN IMMEDIATE")
    return writer


def prepare_engine(engine: Engine, *, begin: str = "BEGIN") -> None:
    """Make SQLite connections of *engine* durable, concurrent and really transactional; others need nothing.

    A file that is missing is not made, and one that was moved or replaced is not used any longer.
    """
    if not is_sqlite(engine):
        return
    path = sqlite_path(engine.url)
    add_functions(engine)

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, _arguments: object, options: dict[str, Any]) -> sqlite3.Connection:
        return sqlite_file.connect(path, _MISSING, **options)  # the driver's own BEGIN comes too late, or never

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "checkout")
    def look(connection: sqlite_file.FileConnection, _record: object, _proxy: object) -> None:
        if not connection.is_there():
            connection.close()
            raise InvalidatePoolError("the SQLite file was moved or replaced")

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Any) -> None:
        connection.exec_driver_sql(begin)


def sqlite_path(url: URL) -> Path:
    """Return the absolute path of the SQLite file that *url* names."""
    return Path(str(url.database)).absolute()


def add_functions(engine: Engine) -> None:
    """Give SQLite what PostgreSQL has for networks; others need nothing."""
    if not is_sqlite(engine):
        return

    @event.listens_for(engine, "checkout")  # not "connect": a host's pool may have connections already
    def add(connection: sqlite3.Connection, record: Any, _proxy: object) -> None:
        if _IN_NETWORK not in record.info:
            connection.create_function(_IN_NETWORK, 2, _is_in_network, deterministic=True)
            record.info[_IN_NETWORK] = True


@lru_cache(maxsize=65536)
def _is_in_network(address: str | None, network: str) -> bool:
    if address is None:
        return False
    inner, outer = ipaddress.ip_network(address), ipaddress.ip_network(network)
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]
