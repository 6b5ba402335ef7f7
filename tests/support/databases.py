"""Databases for tests: migrated ones, new ones, and one that is emptied instead of made anew."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from typing import NoReturn

import psycopg
import pytest
from sqlalchemy import make_url

from audit_service.settings.table import Settings
from audit_service.storage import models, schema
from audit_service.storage.database import Base, make_engine
from tests.support.postgres import NoPostgresError

GROWN = 1 << 20  # bytes by which a database may have grown; more takes longer to empty than to make anew
CATALOGS = (
    "pg_class", "pg_attribute", "pg_attrdef", "pg_constraint", "pg_index", "pg_inherits", "pg_namespace", "pg_policy",
    "pg_proc", "pg_rewrite", "pg_statistic", "pg_statistic_ext", "pg_type",
)  # fmt: skip
TRIGGERS = "FROM pg_trigger WHERE NOT tgisinternal"
SHAPE = f"""
    SELECT {", ".join(f"(SELECT (count(*), max(xmin::text::bigint))::text FROM {catalog})" for catalog in CATALOGS)},
        (SELECT sum(reltuples)::text FROM pg_class),
        (SELECT string_agg((tgrelid, tgname, tgenabled, tgtype)::text, ' ' ORDER BY oid) {TRIGGERS}),
        (SELECT string_agg(setting::text, ' ') FROM pg_db_role_setting AS setting),
        (SELECT string_agg(version_num, ' ') FROM {schema.VERSION_TABLE}),
        (SELECT string_agg(trail::text, ' ') FROM {models.TrailIdentity.__tablename__} AS trail)"""
SIZE = "SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relnamespace = 'public'::regnamespace"


def migrated(url: str) -> str:
    """Bring the database to the newest revision; return its URL."""
    engine = make_engine(Settings(database_url=url).url, writes=True)
    schema.migrate(engine)
    engine.dispose()
    return url


def _url(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def _new_name() -> str:
    return f"audit_{uuid.uuid4().hex}"


def _create(server: psycopg.Connection, name: str, template: str) -> None:
    server.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy".encode())


def _drop(server: psycopg.Connection, name: str) -> None:
    server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@contextlib.contextmanager
def new_postgres_database(server: str, template: str = "template0") -> Iterator[str]:
    """Make a database for the time of a ``with`` block; yield its URL."""
    name = _new_name()
    with psycopg.connect(server, autocommit=True) as connection:
        _create(connection, name, template)
        try:
            yield _url(server, name)
        finally:
            _drop(connection, name)


class EmptiedDatabase:
    """A migrated PostgreSQL database for one test after the other: emptied in between, which is quicker than made.

    It has another name each time, so that what a test left running cannot write into the database of the next. After
    a test that changed more than rows (tables, triggers, statistics, settings) it is made anew.
    """

    def __init__(self, server: psycopg.Connection, url: str, template: str) -> None:
        self._server, self._server_url, self._template = server, url, template
        self._name: str | None = None

    @contextlib.contextmanager
    def use(self) -> Iterator[str]:
        """Yield the URL of the database, with nothing in it."""
        if self._name is None:
            self._name = _new_name()
            _create(self._server, self._name, self._template)
            with psycopg.connect(_url(self._server_url, self._name)) as connection:
                self._shape, self._size = self._look(connection)
        name = self._name
        try:
            yield _url(self._server_url, name)
        finally:
            self._name = _new_name()
            if not self._is_emptied(name, self._name):
                _drop(self._server, name)
                self.drop()

    def drop(self) -> None:
        """Drop what is left for the next test."""
        if self._name is not None:
            _drop(self._server, self._name)
        self._name = None

    def _look(self, connection: psycopg.Connection) -> tuple[object, int]:
        size = connection.execute(SIZE).fetchone()
        assert size
        return connection.execute(SHAPE.encode()).fetchone(), int(size[0])

    def _is_emptied(self, name: str, new_name: str) -> bool:
        """Rename the database and empty it; return whether it is as new."""
        end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
        self._server.execute(end, [name])
        try:
            self._server.execute(f"ALTER DATABASE {name} RENAME TO {new_name}".encode())
            with psycopg.connect(_url(self._server_url, new_name)) as connection:
                shape, size = self._look(connection)
                if shape != self._shape or size > self._size + GROWN:
                    return False
                triggers = connection.execute(f"SELECT tgrelid::regclass, tgname {TRIGGERS}".encode()).fetchall()
                on = [f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}" for table, trigger in triggers]
                off = [f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in {table for table, _ in triggers}]
                stays = {models.TrailHead.__tablename__, models.TrailIdentity.__tablename__}
                tables = [table.name for table in reversed(Base.metadata.sorted_tables) if table.name not in stays]
                empty = [f"DELETE FROM {table}" for table in tables]
                empty += ["DELETE FROM trail_head", "INSERT INTO trail_head (id, size) VALUES (1, 0)"]
                empty += ["SELECT setval(seqrelid, 1, false) FROM pg_sequence"]
                connection.execute("; ".join([*off, *empty, *on]).encode())
        except psycopg.Error:
            return False  # it cannot even be looked at
        return True


def without_postgres(error: NoPostgresError) -> NoReturn:
    """Fail with CI=true, else skip, and say why."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true and no PostgreSQL: {error}")
    pytest.skip(str(error))
