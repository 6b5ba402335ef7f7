"""One batch, one transaction: events get their positions in the trail and become rows."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Table, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError

from audit_service.events import NewAdmin, NewError, NewEvent, NewLogin
from audit_service.models import AdminEvent, ErrorEvent, LoginEvent

TABLES: dict[type[NewEvent], Table] = {
    NewLogin: LoginEvent.metadata.tables[LoginEvent.__tablename__],
    NewError: ErrorEvent.metadata.tables[ErrorEvent.__tablename__],
    NewAdmin: AdminEvent.metadata.tables[AdminEvent.__tablename__],
}


def append(connection: Connection, events: Iterable[NewEvent]) -> None:
    """Store *events* in one transaction; return when it is committed.

    The lock of ``trail_head`` is held until the commit, so ``seq`` is gap-free and its order is the order of commits.
    Within a batch logins come before errors, and these before admin events. An event whose id is stored already is
    passed over. Raises what SQLAlchemy raises; then nothing of the batch is stored, unless the answer to the commit was
    lost.
    """
    remaining = {(type(event), event.id): event for event in events}
    while remaining:
        try:
            with connection.begin():
                store(connection, remaining.values())
        except IntegrityError:
            # An id that is there already is rare: so it is asked for only now. Stored ids never vanish.
            stored = _stored_ids(connection, remaining.values())
            if not stored:
                raise
            for key in stored:
                del remaining[key]
        else:
            return


def store(connection: Connection, events: Iterable[NewEvent]) -> None:
    """Store *events* in the transaction of the caller, who commits: what they tell of is in it, too.

    Raises ``IntegrityError`` for an id that is stored already, and whatever else SQLAlchemy raises.
    """
    events = list(events)
    by_kind = {kind: found for kind in TABLES if (found := [event for event in events if type(event) is kind])}
    if connection.dialect.name == "postgresql":
        _store_on_postgresql(connection, by_kind)
    else:
        _store_on_sqlite(connection, by_kind)


def _stored_ids(connection: Connection, events: Iterable[NewEvent]) -> list[tuple[type[NewEvent], UUID]]:
    found: list[tuple[type[NewEvent], UUID]] = []
    with connection.begin():
        for kind, table in TABLES.items():
            wanted = [event.id for event in events if type(event) is kind]
            ids = connection.execute(select(table.c.id).where(table.c.id.in_(wanted))).scalars()
            found += [(kind, event_id) for event_id in ids]
    return found


@cache
def _postgresql_statement(kinds: tuple[type[NewEvent], ...]) -> str:
    """One statement that locks the head, moves it on and inserts: one round trip, and a transaction by itself.

    A batch arrives as one JSON array for each kind. What PostgreSQL is told of the columns comes from the models.
    """
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    inserts = []
    for kind in kinds:
        table = TABLES[kind]
        given = [table.c[name] for name in kind.__struct_fields__]
        names = ", ".join(column.name for column in given)
        types = ", ".join(f"{column.name} {column.type.compile(dialect)}" for column in given)
        inserts.append(f"""
            {table.name}_inserted AS (
                INSERT INTO {table.name} (seq, recorded_at, {names})
                SELECT head.base + %({table.name}_before)s + new.place, clock_timestamp(), {names}
                FROM head, ROWS FROM (json_to_recordset(%({table.name})s::json) AS ({types}))
                    WITH ORDINALITY AS new ({names}, place)
            )""")  # noqa: S608 - names of our own tables and columns
    return f"""
        WITH head AS (
            UPDATE trail_head SET size = size + %(count)s RETURNING size - %(count)s AS base
        ), {", ".join(inserts)}
        SELECT base FROM head"""  # noqa: S608


def _store_on_postgresql(connection: Connection, by_kind: dict[type[NewEvent], list[NewEvent]]) -> None:
    parameters: dict[str, Any] = {}
    count = 0
    for kind, events in by_kind.items():
        name = TABLES[kind].name
        parameters[name] = msgspec.json.encode(events).decode()
        parameters[f"{name}_before"] = count
        count += len(events)
    # One row comes back, or there is no head, and then nothing was stored: that is an error.
    statement = _postgresql_statement(tuple(by_kind))
    connection.exec_driver_sql(statement, {"count": count, **parameters}).scalar_one()


def _sqlite_insert(kind: type[NewEvent]) -> str:
    names = ["seq", "recorded_at", *kind.__struct_fields__]
    places = ", ".join("?" * len(names))
    return f"INSERT INTO {TABLES[kind].name} ({', '.join(names)}) VALUES ({places})"  # noqa: S608 - our own names


_SQLITE_INSERTS = {kind: _sqlite_insert(kind) for kind in TABLES}


def _store_on_sqlite(connection: Connection, by_kind: dict[type[NewEvent], list[NewEvent]]) -> None:
    count = sum(map(len, by_kind.values()))
    seq = (
        connection.exec_driver_sql("UPDATE trail_head SET size = size + ? RETURNING size", (count,)).scalar_one()
        - count
    )
    recorded_at = _sqlite_time(datetime.now(UTC))  # the database's clock is this machine's
    for kind, events in by_kind.items():
        rows = [(seq + n, recorded_at, *_sqlite_values(event)) for n, event in enumerate(events, 1)]
        connection.exec_driver_sql(_SQLITE_INSERTS[kind], rows)
        seq += len(events)


def _sqlite_values(event: NewEvent) -> Sequence[Any]:
    """The fields as the column types of ``models`` store them on SQLite, without asking each type for each value."""
    return [
        value if value is None or type(value) is str else _SQLITE_FORMS.get(type(value), str)(value)
        for value in msgspec.structs.astuple(event)
    ]


def _sqlite_time(time: datetime) -> str:
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


_SQLITE_FORMS: dict[type, Callable[[Any], str]] = {
    UUID: lambda value: str(value.hex),
    datetime: _sqlite_time,
    dict: lambda value: msgspec.json.encode(value).decode(),
}
