"""The database itself keeps events as they were written, whichever way somebody tries to change them."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Connection, Engine, inspect, select, text
from sqlalchemy.exc import DBAPIError

from audit_service.settings.table import Settings
from audit_service.storage.database import make_engine
from audit_service.storage.dialects import is_sqlite
from audit_service.storage.models import AdminEvent, ErrorEvent, LoginEvent, TrailHead, TrailIdentity
from audit_service.trail.recorder import Recorder
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.databases import new_postgres_database

MODELS = (LoginEvent, ErrorEvent, AdminEvent, TrailHead, TrailIdentity)
EVENTS = ("login_events", "error_events", "admin_events")

ANYWHERE = {
    "update": ["UPDATE {0} SET app = 'x'"],
    "delete": ["DELETE FROM {0}"],
    "upsert by id": ["INSERT INTO {0} SELECT * FROM {0} WHERE true ON CONFLICT (id) DO UPDATE SET app = 'x'"],
    "upsert by seq": ["INSERT INTO {0} SELECT * FROM {0} WHERE true ON CONFLICT (seq) DO UPDATE SET app = 'x'"],
}
ON_SQLITE = {
    "replace": ["REPLACE INTO {0} SELECT * FROM {0}"],
    "update or replace": ["UPDATE OR REPLACE {0} SET app = 'x'"],
    "replace with recursive triggers": ["PRAGMA recursive_triggers=ON", "REPLACE INTO {0} SELECT * FROM {0}"],
    "by another trigger": [
        "CREATE TABLE bait (x)",
        "CREATE TRIGGER trap AFTER INSERT ON bait BEGIN DELETE FROM {0}; END",
        "INSERT INTO bait VALUES (1)",
    ],
}
# The hole: another id and another seq on the rowid that is taken, under each of the names that a rowid has.
ON_SQLITE |= {
    f"replace by {name}": [f"INSERT OR REPLACE INTO {{0}} ({name}, {{1}}) SELECT rowid, {{2}} FROM {{0}}"]
    for name in ("rowid", "oid", "_rowid_")
}
AS_CHILD = ["CREATE TABLE parent (LIKE {0})", "ALTER TABLE {0} INHERIT parent"]
AS_PARTITION = [
    "CREATE TABLE whole (LIKE {0}) PARTITION BY RANGE (seq)",
    "ALTER TABLE whole ATTACH PARTITION {0} DEFAULT",
]
ON_POSTGRESQL = {
    "truncate": ["TRUNCATE {0}"],
    "delete within a query": ["WITH gone AS (DELETE FROM {0} RETURNING id) SELECT count(*) FROM gone"],
    "update through a view": ["CREATE VIEW glass AS SELECT * FROM {0}", "UPDATE glass SET app = 'x'"],
    "update through a parent": [*AS_CHILD, "UPDATE parent SET app = 'x'"],
    "delete through a parent": [*AS_CHILD, "DELETE FROM parent"],
    "truncate through a parent": [*AS_CHILD, "TRUNCATE parent"],
    "as a replica": [*AS_CHILD, "SET session_replication_role = replica", "DELETE FROM parent"],
    "delete as a partition": [*AS_PARTITION, "DELETE FROM whole"],
    "move to another partition": [
        *AS_PARTITION,
        "CREATE TABLE other PARTITION OF whole FOR VALUES FROM (1000000) TO (2000000)",
        "UPDATE whole SET seq = seq + 1000000",
    ],
    "by a rule": [
        "CREATE TABLE bait (x int)",
        "CREATE RULE trap AS ON INSERT TO bait DO ALSO UPDATE {0} SET app = 'x'",
        "INSERT INTO bait VALUES (1)",
    ],
    "by a foreign key": [
        "CREATE TABLE apps (name varchar(64) PRIMARY KEY)",
        "INSERT INTO apps SELECT DISTINCT app FROM {0}",
        "ALTER TABLE {0} ADD FOREIGN KEY (app) REFERENCES apps ON UPDATE CASCADE",
        "UPDATE apps SET name = 'x'",
    ],
}
ON_POSTGRESQL_15 = {
    "merge": ["MERGE INTO {0} USING (SELECT 1) one ON true WHEN MATCHED THEN UPDATE SET app = 'x'"],
}
ROWS_OF_OURS = ["UPDATE trail_identity SET trail_id = NULL", "DELETE FROM trail_identity", "DELETE FROM trail_head"]
ROWS_OF_OURS += ["UPDATE trail_head SET size = size - 1", "UPDATE trail_head SET size = 0"]
ROWS_ON_SQLITE = [f"UPDATE trail_head SET size = {value}" for value in ("'a'", "x'00'", "size + 0.5")]
ROWS_ON_SQLITE += [f"INSERT OR REPLACE INTO {name} SELECT * FROM {name}" for name in ("trail_head", "trail_identity")]


def everything(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return [connection.execute(select(model.__table__)).all() for model in MODELS]


@pytest.fixture
def filled(recorder: Recorder, engine: Engine) -> Engine:
    for factory in (LoginFactory, ErrorFactory, AdminFactory):
        factory()
    return engine


def _ways(engine: Engine) -> dict[str, list[str]]:
    if is_sqlite(engine):
        return ANYWHERE | ON_SQLITE
    with engine.connect() as connection:
        version: int = connection.execute(text("SELECT current_setting('server_version_num')::int")).scalar_one()
    return ANYWHERE | ON_POSTGRESQL | (ON_POSTGRESQL_15 if version >= 150_000 else {})


@pytest.mark.parametrize("table", EVENTS)
def test_the_database_refuses_changes(filled: Engine, table: str) -> None:
    before = everything(filled)
    columns = [column["name"] for column in _columns(filled, table)]
    others = {"id": f"'{uuid4().hex}'", "seq": "seq + 1000"}
    values = ", ".join(others.get(name, name) for name in columns)
    for way, statements in _ways(filled).items():
        *before_it, change = (each.format(table, ", ".join(columns), values) for each in statements)
        with filled.connect() as connection:
            for statement in before_it:
                connection.execute(text(statement))
            with pytest.raises(DBAPIError, match="the audit trail is append-only"):
                pytest.fail(f"{way}: {connection.execute(text(change)).rowcount} rows")
            connection.rollback()
            connection.invalidate()  # what the session was set to is gone, too
        assert everything(filled) == before, way


def _columns(engine: Engine, table: str) -> list[Any]:
    return list(inspect(engine).get_columns(table))


@pytest.mark.parametrize("backend", ["sqlite"])
def test_no_event_takes_the_rowid_that_stands_for_none(filled: Engine) -> None:
    """On SQLite only: it alone has rowids, and -1 in a trigger before the insert is one that was not given."""
    columns = [column["name"] for column in _columns(filled, "login_events")]
    values = ", ".join({"id": f"'{uuid4().hex}'", "seq": "seq + 1000"}.get(name, name) for name in columns)
    for rowid in (-1, 0, -5):
        insert = f"INSERT INTO login_events (rowid, {', '.join(columns)}) SELECT {rowid}, {values} FROM login_events"
        with filled.connect() as connection, pytest.raises(DBAPIError, match="the audit trail is append-only"):
            connection.execute(text(insert))


def test_the_head_and_the_identity_of_the_trail_stay(filled: Engine) -> None:
    before = everything(filled)
    for change in [*ROWS_OF_OURS, *(ROWS_ON_SQLITE if is_sqlite(filled) else [])]:
        with filled.connect() as connection, pytest.raises(DBAPIError, match="the audit trail is append-only"):
            connection.execute(text(change))
        assert everything(filled) == before, change


@pytest.fixture
def stranger(postgres_url: str, postgres_template: str) -> Iterator[Connection]:
    """A session of a role that owns nothing and was granted all that can be granted on the tables."""
    role = f"audit_stranger_{uuid4().hex}"
    with new_postgres_database(postgres_url, postgres_template) as url:
        engine = make_engine(Settings(database_url=url).url)
        recorder = Recorder(Settings(database_url=url).url)
        recorder.record(LoginFactory.build())
        recorder.stop()
        with engine.connect() as connection:
            connection.execute(text(f"CREATE ROLE {role}"))
            connection.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"))
            connection.execute(text(f"GRANT CREATE ON SCHEMA public TO {role}"))
            connection.commit()
            connection.execute(text(f"SET ROLE {role}"))
            connection.commit()
            yield connection
            connection.rollback()
            connection.execute(text("RESET ROLE"))
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))
            connection.commit()
        engine.dispose()


def test_the_triggers_are_their_owners(stranger: Connection) -> None:
    """On PostgreSQL only: on SQLite whoever may write the file owns it."""
    function = "FUNCTION audit_refuse_change()"
    for statement in (
        "ALTER TABLE login_events DISABLE TRIGGER ALL",
        "DROP TRIGGER login_events_append_only ON login_events",
        f"CREATE OR REPLACE {function} RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        f"DROP {function} CASCADE",
        "CREATE RULE away AS ON UPDATE TO login_events DO INSTEAD NOTHING",
        "CREATE TABLE child () INHERITS (login_events)",
        "ALTER TABLE login_events RENAME TO gone",
        "ALTER TABLE login_events DROP COLUMN username",
        "DROP TABLE login_events",
    ):
        with pytest.raises(DBAPIError, match="must be owner"), stranger.begin_nested():
            stranger.execute(text(statement))


def test_copying_a_row_in_does_not_replace_it(postgres_url: str, postgres_template: str) -> None:
    """On PostgreSQL only: SQLite has no COPY."""
    event = LoginFactory.build()
    with new_postgres_database(postgres_url, postgres_template) as url:
        recorder = Recorder(Settings(database_url=url).url)
        recorder.record(event)
        recorder.stop()
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            with cursor.copy("COPY login_events TO STDOUT") as read:
                rows = b"".join(bytes(part) for part in read)
            with pytest.raises(psycopg.errors.UniqueViolation), cursor.copy("COPY login_events FROM STDIN") as written:
                written.write(rows)


def test_the_triggers_stay_on_for_a_replica(postgres_url: str, postgres_template: str) -> None:
    """On PostgreSQL only: it alone can switch ordinary triggers off for a session."""
    with new_postgres_database(postgres_url, postgres_template) as url:
        engine = make_engine(Settings(database_url=url).url)
        with engine.begin() as connection:
            enabled = connection.execute(
                text("SELECT tgrelid::regclass::text, tgenabled FROM pg_trigger WHERE NOT tgisinternal")
            )
            assert {tuple(row) for row in enabled} == {
                ("login_events", "A"),
                ("error_events", "A"),
                ("admin_events", "A"),
                ("trail_head", "A"),
                ("trail_identity", "A"),
            }
        with engine.connect() as connection:
            connection.execute(text("SET session_replication_role = replica"))
            with pytest.raises(DBAPIError, match="append-only"):
                connection.execute(text("DELETE FROM login_events"))
        engine.dispose()
