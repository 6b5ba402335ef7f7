"""What a timeline of all kinds of events can be filtered by."""

from typing import Annotated

from audit_service.events.base import EventFilters, text_filter, word_filter
from audit_service.events.kinds import KindName
from audit_service.values import limits


class TimelineFilters(EventFilters, frozen=True, kw_only=True):
    """Filters that all kinds of events have, and those that choose among the kinds."""

    kind: list[Annotated[KindName, word_filter(KindName, "which kinds of events")]] = []
    username: list[
        Annotated[str, text_filter(limits.USERNAME, "who logged in or met the error, changed something or was changed")]
    ] = []
