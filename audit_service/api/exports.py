"""Exports as answers: few at a time, and each gives back what it holds, however it ends."""

import itertools
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from threading import BoundedSemaphore

from flask import Response, current_app, request
from werkzeug.exceptions import ServiceUnavailable

from audit_service.access import owner_of_view, read_by, viewer_for
from audit_service.context import end_reading
from audit_service.history.collections import Collection
from audit_service.history.export import CONTENT_TYPES, Chunk, Format, export
from audit_service.history.filters import Question
from audit_service.history.parameters import Sorting, parse
from audit_service.vocabulary import AdminAction

AT_ONCE = 4  # in one process: each holds a thread and a connection for as long as its reader takes
_slots = BoundedSemaphore(AT_ONCE)


def export_collection(collection: Collection, form: Format) -> Response:
    """Stream all events that match, in constant memory. Whoever goes away frees the connection."""
    viewer = viewer_for(auditors_only=collection.auditors_only)
    filters, sorting = parse(request.args, collection.filters, Sorting)
    read_by(viewer, AdminAction.HISTORY_EXPORTED)
    end_reading()  # the export has a connection of its own
    engine = current_app.extensions["sqlalchemy"].engine
    question = Question(item=collection.item, filters=filters, order=sorting.order, owner=owner_of_view(viewer))
    chunks = _in_slot(export(engine, question, form))
    first = list(itertools.islice(chunks, 2))  # what fails at once is answered with a problem, not with half a file
    answer = Response(_Stream(first, chunks), content_type=CONTENT_TYPES[form])
    name = f"{collection.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{form}"
    answer.headers.update(
        {
            "Cache-Control": "no-store",
            "Vary": "Accept, Cookie",
            "Content-Disposition": f'attachment; filename="{name}"',
            "Event-Count": str(first[0].events),  # not every server tells its client that a stream has broken off
        }
    )
    return answer


def _in_slot(chunks: Generator[Chunk]) -> Generator[Chunk]:
    if not _slots.acquire(blocking=False):
        raise ServiceUnavailable(
            f"{AT_ONCE} exports run already; please try again when one of them is done", retry_after=10
        )
    try:
        yield from chunks
    finally:
        chunks.close()
        _slots.release()


class _Stream:
    """Chunks that were read already, then the rest. ``close`` closes the rest, even if nobody asked for any of it."""

    def __init__(self, first: list[Chunk], rest: Generator[Chunk]) -> None:
        self._lines, self._rest = (chunk.lines for chunk in itertools.chain(first, rest)), rest

    def __iter__(self) -> Iterator[bytes]:
        return self._lines

    def close(self) -> None:
        self._rest.close()
