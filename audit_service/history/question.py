"""What a reader asks for: which events, in which order."""

from enum import StrEnum
from typing import Any

import msgspec

from audit_service.events.base import EventFilters, Kind


class Order(StrEnum):
    """The order of a result: by (``timestamp``, ``seq``), or by ``seq`` alone, which is the order of arrival."""

    NEWEST = "newest"
    OLDEST = "oldest"
    ARRIVAL = "arrival"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are asked for: of one *kind*, in which order; with *owner* only those that this user may see."""

    kind: Kind
    filters: EventFilters
    order: Order = Order.NEWEST
    owner: str | None = None

    def bound(self) -> list[Any]:
        """Return what a cursor is bound to."""
        return [self.kind.item.__name__, given_filters(self.filters), self.order, self.owner]


def given_filters(filters: EventFilters) -> dict[str, Any]:
    """Return the filters that have a value: a filter that is new in a later version changes nothing of a question."""
    return {name: value for name, value in msgspec.structs.asdict(filters).items() if value}
