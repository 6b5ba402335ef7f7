"""Exports as answers: few at a time, and each gives back what it holds, however it ends."""

from datetime import UTC, datetime

from flask import Response

from audit_service.access.viewer import owner_of_view, record_reading
from audit_service.api.places import take_place
from audit_service.api.stream import Stream
from audit_service.context import Viewer, current_context, end_reading
from audit_service.events.base import EventFilters, Kind
from audit_service.history.export import CONTENT_TYPES, Format, export
from audit_service.history.parameters import Sorting
from audit_service.history.question import Question
from audit_service.receivers import error_recorder
from audit_service.vocabulary import AdminAction

# Seconds without a next statement after which PostgreSQL itself ends an export, should this process hang.
IDLE = 300.0


def export_events(kind: Kind, form: Format, viewer: Viewer, filters: EventFilters, sorting: Sorting) -> Response:
    """Stream all events that match, in constant memory. A client that goes away or stalls frees the connection."""
    place = take_place(viewer)
    record_reading(viewer, AdminAction.HISTORY_EXPORTED)
    end_reading()  # the export has a connection of its own
    question = Question(kind=kind, filters=filters, order=sorting.order, owner=owner_of_view(viewer))
    stream = Stream(export(current_context().reader, question, form, idle=IDLE), place, error_recorder())
    events = stream.begin()  # what fails at once is answered with a problem, not with half a file
    answer = Response(stream, content_type=CONTENT_TYPES[form])
    name = f"{kind.collection}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{form}"
    answer.headers.update(
        {
            "Cache-Control": "no-store",
            "Vary": "Accept, Cookie",
            "Content-Disposition": f'attachment; filename="{name}"',
            "Event-Count": str(events),  # not every server tells its client that a stream has broken off
        }
    )
    return answer
