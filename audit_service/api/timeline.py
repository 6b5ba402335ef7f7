"""All kinds of events in one list."""

import msgspec
from flask import Response

from audit_service.access.viewer import record_reading
from audit_service.api.operations import Access, json_of, operation
from audit_service.api.views import NextUrl, page_answer
from audit_service.context import Viewer, current_context, read_session
from audit_service.events.timeline import TimelineFilters
from audit_service.history.cursor import Cursors
from audit_service.history.parameters import Paging
from audit_service.history.timeline import Entry, Timeline, list_timeline


class TimelinePage(msgspec.Struct):
    """A part of the timeline, and where the part after it is: the cursor and the URL, both null at the end."""

    items: list[Entry]  # type: ignore[valid-type]  # made of the kinds
    next: str | None
    next_url: NextUrl | None


@operation(
    "/events",
    "List events of all kinds",
    "Logins, errors and admin events together, each with its `kind`. Follow `next_url` as in the other lists.",
    takes=(TimelineFilters, Paging),
    answer=json_of(TimelinePage, "Link"),
    access=Access.AUDITORS,
)
def list_all_events(viewer: Viewer, filters: TimelineFilters, paging: Paging) -> Response:
    """List a page of events of all kinds."""
    timeline = Timeline(filters=filters, order=paging.order)
    cursors = Cursors(current_context().signing_key(), timeline)
    after = cursors.decode(paging.cursor) if paging.cursor is not None else None
    record_reading(viewer)
    items, position = list_timeline(read_session(), timeline, limit=paging.limit, after=after)
    return page_answer(items, cursors.encode(position) if position else None)
