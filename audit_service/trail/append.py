"""One batch, one transaction: events get their positions in the trail and become rows."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine, Table, func, insert, select, update

from audit_service.events import NewError, NewEvent, NewLogin
from audit_service.models import ErrorEvent, LoginEvent, TrailHead

TABLES: dict[type[NewEvent], Table] = {
    NewLogin: LoginEvent.metadata.tables[LoginEvent.__tablename__],
    NewError: ErrorEvent.metadata.tables[ErrorEvent.__tablename__],
}


def append(engine: Engine, events: Sequence[NewEvent]) -> None:
    """Store *events*, in their order, in one transaction; return when it is committed.

    The lock of ``trail_head`` is held from the first statement to the commit, so ``seq`` is gap-free and its order is
    the order of commits. An event whose id is stored already is passed over.
    """
    with engine.begin() as connection:
        lock_head = update(TrailHead).values(size=TrailHead.size).returning(TrailHead.size)
        size: int = connection.execute(lock_head).scalar_one()
        for kind, table in TABLES.items():
            new = _not_stored(connection, table, [event for event in events if type(event) is kind])
            rows = [{**msgspec.structs.asdict(event), "seq": size + n} for n, event in enumerate(new, 1)]
            if rows:
                connection.execute(insert(table).values(recorded_at=_clock(connection)), rows)
                size += len(rows)
        connection.execute(update(TrailHead).values(size=size))


def _not_stored(connection: Connection, table: Table, events: Sequence[NewEvent]) -> list[NewEvent]:
    by_id: dict[UUID, NewEvent] = {event.id: event for event in events}
    for stored in connection.execute(select(table.c.id).where(table.c.id.in_(by_id))).scalars():
        del by_id[stored]
    return list(by_id.values())


def _clock(connection: Connection) -> Any:
    """The database's clock: PostgreSQL's own, read behind the lock; SQLite's is the clock of this machine."""
    return func.clock_timestamp() if connection.dialect.name == "postgresql" else datetime.now(UTC)
