"""Exports as answers: few at a time, and each gives back what it holds, however it ends."""

from datetime import UTC, datetime

from flask import Response, current_app

from audit_service.access.viewer import owner_of_view, record_reading, viewer_for
from audit_service.api.places import take_place
from audit_service.api.queries import parse_query
from audit_service.api.stream import Stream
from audit_service.context import end_reading
from audit_service.events.base import Kind
from audit_service.history.export import CONTENT_TYPES, Format, export
from audit_service.history.parameters import Sorting
from audit_service.history.question import Question
from audit_service.receivers import error_recorder
from audit_service.vocabulary import AdminAction

# Seconds without a next statement after which PostgreSQL itself ends an export, should this process hang.
IDLE = 300.0


def export_events(kind: Kind, form: Format) -> Response:
    """Stream all events that match, in constant memory. A client that goes away or stalls frees the connection."""
    viewer = viewer_for(auditors_only=kind.auditors_only)
    filters, sorting = parse_query(kind.filters, Sorting)
    place = take_place(viewer)
    record_reading(viewer, AdminAction.HISTORY_EXPORTED)
    end_reading()  # the export has a connection of its own
    engine = current_app.extensions["sqlalchemy"].engine
    question = Question(kind=kind, filters=filters, order=sorting.order, owner=owner_of_view(viewer))
    stream = Stream(export(engine, question, form, idle=IDLE), place, error_recorder())
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
