"""What a reader asks for: which events, in which order."""

from enum import StrEnum

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
