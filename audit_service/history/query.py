"""Pages of the history, newest first by (``timestamp``, ``seq``), and single events."""

from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.orm import Session, scoped_session

from audit_service.events import NewEvent
from audit_service.history.cursor import Position
from audit_service.history.filters import EventFilters
from audit_service.history.items import AdminItem, ErrorItem, LoginItem
from audit_service.models import AdminEvent, ErrorEvent, LoginEvent

Reader = Session | scoped_session[Any]
Item = TypeVar("Item", LoginItem, ErrorItem, AdminItem)

MODELS: dict[type[NewEvent], type[LoginEvent | ErrorEvent | AdminEvent]] = {
    LoginItem: LoginEvent,
    ErrorItem: ErrorEvent,
    AdminItem: AdminEvent,
}


def list_events(
    session: Reader,
    kind: type[Item],
    filters: EventFilters,
    *,
    limit: int,
    owner: str | None = None,
    after: Position | None = None,
) -> tuple[list[Item], Position | None]:
    """Return at most *limit* events of *kind* that follow *after*, newest first, and where to go on, if there is more.

    With *owner* only logins of that username are seen, whatever the filters say.
    """
    model = MODELS[kind]
    query = select(model.__table__).where(*_conditions(model, filters, owner))
    if after is not None:
        query = query.where(tuple_(model.timestamp, model.seq) < tuple_(after.timestamp, after.seq))
    query = query.order_by(model.timestamp.desc(), model.seq.desc()).limit(limit + 1)
    items = [kind(**row) for row in session.execute(query).mappings()]
    more = len(items) > limit
    return items[:limit], Position(items[limit - 1].timestamp, items[limit - 1].seq) if more else None


def find_event(session: Reader, kind: type[Item], event_id: UUID, *, owner: str | None = None) -> Item | None:
    """Return the event of that id; with *owner*, only if it is one of that username."""
    model = MODELS[kind]
    query = select(model.__table__).where(model.id == event_id, *_conditions(model, EventFilters(), owner))
    row = session.execute(query).mappings().one_or_none()
    return None if row is None else kind(**row)


def _conditions(
    model: type[LoginEvent | ErrorEvent | AdminEvent], filters: EventFilters, owner: str | None
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for name, value in msgspec.structs.asdict(filters).items():
        if name == "since" and value:
            conditions.append(model.timestamp >= value)
        elif name == "until" and value:
            conditions.append(model.timestamp < value)
        elif value:  # a list: any of these
            conditions.append(getattr(model, name).in_(value))
    if owner is not None:
        conditions.append(LoginEvent.username == owner)
    return conditions
