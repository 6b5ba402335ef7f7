"""Events get their positions in the trail and become rows: a batch in a transaction of its own, or in the caller's."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError

from audit_service.events.base import Kind, NewEvent
from audit_service.events.kinds import KIND_OF, KINDS
from audit_service.storage.dialects import is_postgresql
from audit_service.storage.models import table_of

_Key = tuple[type[NewEvent], UUID]


def append_batch(connection: Connection, events: Sequence[NewEvent]) -> list[int]:
    """Store *events* in a transaction of their own; return when it is committed.

    The lock of ``trail_head`` is held until the commit, so ``seq`` is gap-free and its order is the order of commits.
    Within a batch the events come in the order of ``KINDS``. An event that is stored already is passed over. Returns
    the places of events whose id another event has (see ``has_ids_from_outside``): nothing of these is stored. Raises
    what SQLAlchemy raises; then nothing of the batch is stored, unless the answer to the commit was lost.
    """
    first: dict[_Key, int] = {}
    for place, event in enumerate(events):
        first.setdefault((type(event), event.id), place)
    stored: dict[_Key, Row[Any]] = {}
    remaining = list(first.values())
    while remaining:
        try:
            with connection.begin():
                append_within(connection, [events[place] for place in remaining])
        except IntegrityError:
            # An id that is there already is rare: so it is asked for only now. Rows never change, and never vanish.
            found = _stored_rows(connection, [events[place] for place in remaining])
            if not found:
                raise
            stored |= found
            remaining = [place for place in remaining if (type(events[place]), events[place].id) not in found]
        else:
            break
    if len(first) < len(events):  # which of two with one id is the stored one is known only now
        places = set(first.values())
        stored |= _stored_rows(connection, [event for place, event in enumerate(events) if place not in places])
    return [place for place, event in enumerate(events) if stored and _is_another(stored, event)]


def append_within(connection: Connection, events: Iterable[NewEvent]) -> None:
    """Store *events* within the transaction of the caller, who commits: what they tell of is in it, too.

    Raises ``IntegrityError`` for an id that is stored already, and whatever else SQLAlchemy raises.
    """
    events = list(events)
    by_kind = {kind: found for kind in KINDS if (found := kind.of(events))}
    if is_postgresql(connection):
        _store_on_postgresql(connection, by_kind)
    else:
        _store_on_sqlite(connection, by_kind)


def _stored_rows(connection: Connection, events: Iterable[NewEvent]) -> dict[_Key, Row[Any]]:
    found: dict[_Key, Row[Any]] = {}
    with connection.begin():
        for kind in KINDS:
            table, wanted = table_of(kind), [event.id for event in kind.of(events)]
            rows = connection.execute(select(table).where(table.c.id.in_(wanted)))
            found |= {(kind.new, row.id): row for row in rows}
    return found


def _is_another(stored: dict[_Key, Row[Any]], event: NewEvent) -> bool:
    """Tell whether another event is stored under the id of *event*, which only happens to ids from outside."""
    row = stored.get((type(event), event.id))
    if row is None or not KIND_OF[type(event)].has_ids_from_outside:
        return False
    return any(getattr(row, name) != value for name, value in msgspec.structs.asdict(event).items())


@cache
def _postgresql_statement(kinds: tuple[Kind, ...]) -> str:
    """One statement that locks the head, moves it on and inserts: one round trip, and a transaction by itself.

    A batch arrives as one JSON array for each kind. What PostgreSQL is told of the columns comes from the models.
    """
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    inserts = []
    for kind in kinds:
        table = table_of(kind)
        given = [table.c[name] for name in kind.new.__struct_fields__]
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


def _store_on_postgresql(connection: Connection, by_kind: dict[Kind, list[NewEvent]]) -> None:
    parameters: dict[str, Any] = {}
    count = 0
    for kind, events in by_kind.items():
        parameters[kind.table] = msgspec.json.encode(events).decode()
        parameters[f"{kind.table}_before"] = count
        count += len(events)
    # One row comes back, or there is no head, and then nothing was stored: that is an error.
    statement = _postgresql_statement(tuple(by_kind))
    connection.exec_driver_sql(statement, {"count": count, **parameters}).scalar_one()


def _sqlite_insert(kind: Kind) -> str:
    names = ["seq", "recorded_at", *kind.new.__struct_fields__]
    places = ", ".join("?" * len(names))
    return f"INSERT INTO {kind.table} ({', '.join(names)}) VALUES ({places})"  # noqa: S608 - our own names


_SQLITE_INSERTS = {kind: _sqlite_insert(kind) for kind in KINDS}


def _store_on_sqlite(connection: Connection, by_kind: dict[Kind, list[NewEvent]]) -> None:
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
