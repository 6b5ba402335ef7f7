"""One timeline of all kinds of events: pages of each, merged."""

from collections.abc import Iterator
from typing import Any, Union

import msgspec
from sqlalchemy.orm import Session

from audit_service.events.base import EventFilters, Kind
from audit_service.events.kinds import KINDS
from audit_service.events.timeline import TimelineFilters
from audit_service.history.cursor import Position, arrived
from audit_service.history.query import list_events
from audit_service.history.question import Order, Question, given_filters

# The items of each kind, tagged with its name as ``kind``.
ENTRY_OF: dict[Kind, type[Any]] = {
    kind: msgspec.defstruct(
        kind.item.__name__.replace("Item", "Entry"),
        [],
        bases=(kind.item,),
        namespace={"__doc__": f"One of the {kind.what}."},
        tag_field="kind",
        tag=kind.name,
        kw_only=True,
        frozen=True,
    )
    for kind in KINDS
}
Entry = Union[tuple(ENTRY_OF.values())]  # type: ignore[valid-type]  # noqa: UP007 - made of the kinds


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """Which events of all kinds are asked for, in which order. Only who may see all events may ask."""

    filters: TimelineFilters
    order: Order = Order.NEWEST

    def bound(self) -> list[Any]:
        """Return what a cursor is bound to."""
        return ["timeline", given_filters(self.filters), self.order]


def list_timeline(
    session: Session, timeline: Timeline, *, limit: int, after: Position | None = None
) -> tuple[list[Any], Position | None]:
    """Return at most *limit* events of all kinds that follow *after*, and the position to go on from.

    The order and the position are those of ``list_events``: in the order of arrival there always is a position.
    """
    found: dict[int, Any] = {}
    ends = []
    for question in _questions(timeline):
        items, end = list_events(session, question, limit=limit, after=after)
        ends.append(end)
        entry = ENTRY_OF[question.kind]
        found |= {item.seq: entry(**msgspec.structs.asdict(item)) for item in items}
    if timeline.order is Order.ARRIVAL:
        # Up to here every kind was looked through; beyond, an event of another kind may be missing.
        known = min(end.seq for end in ends if end)
        entries = [found[seq] for seq in sorted(found) if seq <= known][:limit]
        return entries, arrived(entries[-1].seq if len(entries) == limit else known)
    entries = sorted(found.values(), key=_place, reverse=timeline.order is Order.NEWEST)
    has_more = len(entries) > limit or any(ends)
    entries = entries[:limit]
    return entries, Position(*_place(entries[-1])) if has_more else None


def _questions(timeline: Timeline) -> Iterator[Question]:
    """Yield a question for each kind; for names one for each field that has them, which its index answers."""
    given = timeline.filters
    common: dict[str, Any] = {name: getattr(given, name) for name in EventFilters.__struct_fields__}
    for kind in KINDS:
        if given.kind and kind.name not in given.kind:
            continue
        for field in kind.names if given.username else ("",):
            filters = common | ({field: given.username} if field else {})
            yield Question(kind=kind, filters=kind.filters(**filters), order=timeline.order)


def _place(entry: Any) -> tuple[Any, int]:
    return entry.timestamp, entry.seq
