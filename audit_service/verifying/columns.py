"""Whether the tables are as this program makes them: their columns and triggers, and in SQLite the types of values."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, text

from audit_service.events.kinds import KINDS
from audit_service.storage.dialects import is_postgresql
from audit_service.storage.models import table_of
from audit_service.verifying.findings import Code, Finding
from audit_service.verifying.source import LogFormError

_COLUMNS_ON_POSTGRESQL = """
    SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped"""
_COLUMNS_ON_SQLITE = "SELECT name, type FROM pragma_table_xinfo(:table)"
# tgenabled A: always, whatever session_replication_role says.
_TRIGGERS_ON_POSTGRESQL = "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass(:table) AND tgenabled = 'A'"
_TRIGGERS_ON_SQLITE = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table"
CHUNK = 4096  # rows
# In SQLite a value has a type of its own, whatever that of its column is; in PostgreSQL it may be null.
_TYPES = {
    "trail_head": {"size": "integer"},
    "trail_log": dict.fromkeys(("size", "floor", "declared"), "integer")
    | {"root": "blob"}
    | dict.fromkeys(("origin", "log_id", "created_at", "problem", "problem_detail", "problem_at"), "text"),
    "trail_checkpoints": {"size": "integer"} | dict.fromkeys(("log_id", "note", "signed_at"), "text"),
    "trail_confirmations": {"size": "integer"} | dict.fromkeys(("log_id", "line"), "text"),
}
_MAY_BE_NULL = {"problem", "problem_detail", "problem_at", "line"}
_TIME_SIZE = 26  # characters of 2026-01-02 03:04:05.000000


def column_findings(connection: Connection) -> Iterator[Finding]:
    """Yield what differs between the columns of the event tables and those that an entry protects."""
    query = text(_COLUMNS_ON_POSTGRESQL if is_postgresql(connection) else _COLUMNS_ON_SQLITE)
    for kind in KINDS:
        table = kind.table
        known = {column.name: _type(column.type.compile(connection.dialect)) for column in table_of(kind).columns}
        found = {name: _type(type_) for name, type_ in connection.execute(query, {"table": table})}
        for name in sorted(found.keys() - known.keys()):
            words = f"{table} has a column {name!r}, whose values nothing protects"
            yield Finding(Code.UNKNOWN_COLUMN, words, table=table, column=name)
        for name in sorted(known.keys() - found.keys()):
            yield Finding(Code.MISSING_COLUMN, f"{table} has no column {name!r}", table=table, column=name)
        for name in sorted(known.keys() & found.keys()):
            if known[name] != found[name]:
                words = f"the column {name!r} of {table} is {found[name]}, not {known[name]}"
                yield Finding(Code.CHANGED_COLUMN, words, table=table, column=name)


def trigger_findings(connection: Connection) -> Iterator[Finding]:
    """Yield the triggers that refuse changes of events and are not there: no evidence of a change, but worth a look."""
    on_postgresql = is_postgresql(connection)
    query = text(_TRIGGERS_ON_POSTGRESQL if on_postgresql else _TRIGGERS_ON_SQLITE)
    names = ["append_only"] if on_postgresql else ["no_update", "no_delete", "no_replace"]
    for kind in KINDS:
        found = set(connection.scalars(query, {"table": kind.table}))
        for name in names:
            if (trigger := f"{kind.table}_{name}") not in found:
                words = f"the trigger {trigger}, which refuses changes, is not there"
                yield Finding(Code.TRIGGER_MISSING, words, table=kind.table)


def check_types(connection: Connection) -> None:
    """Raise ``LogFormError`` if a value of the log is null, of another type than its column in SQLite, or no time."""
    on_postgresql = is_postgresql(connection)
    for table, types in _TYPES.items():
        for column, type_ in types.items():
            type_of = f"CASE WHEN {column} IS NULL THEN 'null' ELSE :type END" if on_postgresql else f"typeof({column})"
            null = f"AND {column} IS NOT NULL" if column in _MAY_BE_NULL else ""
            query = text(f"SELECT {type_of} FROM {table} WHERE {type_of} <> :type {null} LIMIT 1")  # noqa: S608
            if found := connection.scalar(query, {"type": type_}):
                raise LogFormError(f"{table}.{column} is stored as {found}, not as {type_}")
            if column.endswith("_at") and not on_postgresql:
                _check_times(connection, table, column)


def _check_times(connection: Connection, table: str, column: str) -> None:
    query = text(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL")  # noqa: S608
    for stored in connection.execute(query.execution_options(yield_per=CHUNK)).scalars():
        try:
            is_time = (len(stored), stored[10:11]) == (_TIME_SIZE, " ") and bool(datetime.fromisoformat(stored))
        except ValueError:
            is_time = False
        if not is_time:
            raise LogFormError(f"{table}.{column} is no time: {stored[:40]!r}")


def _type(name: str) -> str:
    """Return the name of a column's type as PostgreSQL spells it."""
    return name.lower().replace("varchar", "character varying")
