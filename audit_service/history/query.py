"""Pages of the history, and single events. Every page is read through an index, in its order."""

from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import CTE, ColumnElement, Dialect, Select, Table, func, select, tuple_
from sqlalchemy.orm import Session

from audit_service.events.base import EventFilters, Kind
from audit_service.history.comparing import folded, small
from audit_service.history.conditions import conditions, parent_of
from audit_service.history.cursor import Position, arrived
from audit_service.history.merged import in_order_of_time, merged, names_query, networks_of, values_of
from audit_service.history.question import Order, Question
from audit_service.storage.dialects import is_postgresql
from audit_service.storage.models import TrailHead, table_of

# Positions that one page in the order of arrival looks at, so that a rare filter takes no longer.
ARRIVAL_SPAN = 100_000
PATIENCE = 60  # seconds that the database may take for a part of an export, or for counting
LOOK = 1000  # events that are filtered for a page of a large network before the page is made network by network
LOOK_FOR_NAMES = 10_000  # the same for a page of names in other spellings, or with the same beginning
NAMES = 200  # with the same beginning, of which a page is made name by name


def list_events(
    session: Session, question: Question, *, limit: int, after: Position | None = None
) -> tuple[list[Any], Position | None]:
    """Return at most *limit* events that follow *after* in the order of the question, and the position to go on from.

    The position is None at the end of the history. In the order of arrival it never is, because more events may arrive,
    and a page may be shorter than *limit*, or empty, before the end.
    """
    if question.order is Order.ARRIVAL:
        return _list_arrivals(session, question, limit, after.seq if after else 0)
    dialect = session.get_bind().dialect
    look = _look(dialect, question)
    items = _items(session, question, _look_query(dialect, question, after, limit + 1, look)) if look else []
    if len(items) <= limit:
        named = _with_names(session, question)
        items = _items(session, question, events_query(dialect, named, after, limit + 1)) if named else []
    more = len(items) > limit
    return items[:limit], Position(items[limit - 1].timestamp, _seq(items[limit - 1])) if more else None


def events_query(dialect: Dialect, question: Question, after: Position | None, limit: int | None) -> Select[Any]:
    """Return the query of the next events, or with no *limit* of all, in the order of the question."""
    table, newest = table_of(question.kind), question.order is Order.NEWEST
    found = conditions(table, question, dialect)
    if question.order is Order.ARRIVAL:
        return select(table).where(*found.values()).order_by(table.c.seq).limit(limit)
    if after is not None:
        found["after"] = _is_after(table, after, newest=newest)
    keys = _keys(table, question, dialect) if is_postgresql(dialect) and limit is not None else None
    if keys and limit is not None:
        others = [condition for name, condition in found.items() if name not in keys.answered]
        return merged(table, keys.column, keys.values, others, newest=newest, limit=limit)
    if is_postgresql(dialect):
        order = in_order_of_time(table.c, newest=newest, by_filter=_has_index(question))
    else:
        order = in_order_of_time(table.c, newest=newest, is_sorted=_has_spelt_names(question))
    return select(table).where(*found.values()).order_by(*order).limit(limit)


def _has_index(question: Question) -> bool:
    """Tell whether a filter has an index of its own, so that the index of all events by time is not to be read."""
    given = question.filters
    return (
        question.owner is not None
        or any(getattr(given, name) for name in question.kind.indexed)
        or any(getattr(given, f"{name}_i") for name in question.kind.folded)
        or any(getattr(given, name) == [word] for name, word in question.kind.indexed_words.items())
    )


class _Keys(NamedTuple):
    """What a page is merged from: values of a column, and the filters that need no condition besides them."""

    column: ColumnElement[Any]
    values: CTE
    answered: tuple[str, ...]


def _keys(table: Table, question: Question, dialect: Dialect) -> _Keys | None:
    """Return the keys of the question; None if nothing is to be merged.

    That is so for one key, whose events an index has in the order of time already, and for none.
    """
    columns: dict[str, ColumnElement[Any]] = {name: table.c[name] for name in question.kind.indexed}
    columns |= {f"{name}_i": folded(table.c[name], dialect) for name in question.kind.folded}
    values = {name: getattr(question.filters, name) for name in columns}
    if any(len(given) == 1 and not _is_large(name, given) for name, given in values.items()):
        return None
    for name, given in values.items():
        if name == "remote_addr" and any("/" in text for text in given):
            are_whole = all(parent_of(text) is None for text in given)  # each key lies in a network of the question
            return _Keys(table.c.network, networks_of(table, given), (name,) if are_whole else ())
        if len(given) > 1:
            spelt = given if name in question.kind.indexed else [small(text) for text in given]
            return _Keys(columns[name], values_of(columns[name], spelt), (name,))
    return None


def _is_large(name: str, given: list[str]) -> bool:
    return name == "remote_addr" and any("/" in text and parent_of(text) is None for text in given)


def _look(dialect: Dialect, question: Question) -> int:
    """Return how many of the next events of all are worth a look, for the page may be among them; 0 for none.

    That is so for what has many keys: a network of many networks, names in several spellings or with one beginning.
    """
    given, kind = question.filters, question.kind
    has_beginnings = any(getattr(given, f"{name}_prefix") for name in kind.folded)
    if has_beginnings or (not is_postgresql(dialect) and _has_spelt_names(question)):
        return LOOK_FOR_NAMES
    is_large = "remote_addr" in kind.indexed and _is_large("remote_addr", given.remote_addr)
    return LOOK if is_postgresql(dialect) and is_large else 0


def _has_spelt_names(question: Question) -> bool:
    """Tell whether names are asked for whose spellings SQLite looks up."""
    given = question.filters
    return any(getattr(given, f"{name}{ending}") for name in question.kind.folded for ending in ("_i", "_prefix"))


def _with_names(session: Session, question: Question) -> Question | None:
    """Return the question with the names themselves in place of one beginning, if they are few; None for no name.

    An index holds the events of each name in the order of time, but not those of all names with one beginning.
    """
    given, dialect = question.filters, session.get_bind().dialect
    for name in question.kind.folded if is_postgresql(dialect) else ():
        beginnings = getattr(given, f"{name}_prefix")
        if len(beginnings) != 1 or getattr(given, f"{name}_i"):
            continue
        key = folded(table_of(question.kind).c[name], dialect)
        names = session.connection().execute(names_query(key, small(beginnings[0]), NAMES + 1)).scalars().all()
        if not names:
            return None
        if len(names) <= NAMES:
            found = {f"{name}_prefix": [], f"{name}_i": list(names)}
            return msgspec.structs.replace(question, filters=msgspec.structs.replace(given, **found))
    return question


def _look_query(dialect: Dialect, question: Question, after: Position | None, limit: int, look: int) -> Select[Any]:
    """Return the query of those of the next *look* events that match; when they fill a page, they are the page."""
    table, newest = table_of(question.kind), question.order is Order.NEWEST
    span = EventFilters(since=question.filters.since, until=question.filters.until)
    place = list(conditions(table, Question(kind=question.kind, filters=span), dialect).values())
    if after is not None:
        place.append(_is_after(table, after, newest=newest))
    following = select(table).where(*place).order_by(*in_order_of_time(table.c, newest=newest)).limit(look).subquery()
    found = conditions(following, question, dialect)
    return select(following).where(*found.values()).order_by(*in_order_of_time(following.c, newest=newest)).limit(limit)


def _is_after(table: Table, after: Position, *, newest: bool) -> ColumnElement[bool]:
    place, here = tuple_(table.c.timestamp, table.c.seq), tuple_(after.timestamp, after.seq)
    return place < here if newest else place > here


def find_event(session: Session, kind: Kind, event_id: UUID, *, owner: str | None = None) -> Any:
    """Return the item of that id; with *owner*, only if this user may see it. None if there is none."""
    table = table_of(kind)
    question = Question(kind=kind, filters=EventFilters(), owner=owner)
    found = conditions(table, question, session.get_bind().dialect)
    query = select(table).where(table.c.id == event_id, *found.values())
    row = session.connection().execute(query).mappings().one_or_none()
    return None if row is None else kind.item(**row)


def trail_size(session: Session) -> int:
    """Return how many positions of the trail are taken: every event up to the one of that ``seq`` has arrived."""
    size: int = session.connection().execute(select(func.coalesce(func.max(TrailHead.size), 0))).scalar_one()
    return size


def _list_arrivals(session: Session, question: Question, limit: int, after: int) -> tuple[list[Any], Position]:
    """Every ``seq`` up to the size of the trail is committed, so a reader who follows the positions misses no event."""
    size = trail_size(session)
    last = max(after, min(size, after + ARRIVAL_SPAN))
    table = table_of(question.kind)
    query = events_query(session.get_bind().dialect, question, None, limit)
    query = query.where(table.c.seq > after, table.c.seq <= last)
    items = _items(session, question, query)
    return items, arrived(_seq(items[-1]) if len(items) == limit else last)


def _items(session: Session, question: Question, query: Select[Any]) -> list[Any]:
    result = session.connection().execute(query)  # not by the session, which would look for objects of the ORM
    names = tuple(result.keys())
    return [question.kind.item(**dict(zip(names, row, strict=True))) for row in result.all()]


def _seq(item: Any) -> int:
    seq: int = item.seq
    return seq
