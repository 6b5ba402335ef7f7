"""The routes of the kinds of events, and what all of the API has in common. Read-only: ``GET`` and ``HEAD``."""

import contextlib
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec
from flask import Response, current_app, request
from msgspec import Meta
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.wrappers import Response as AnyResponse

from audit_service.access.viewer import owner_of_view, record_reading
from audit_service.api.answers import readable_answer
from audit_service.api.exports import export_events
from audit_service.api.operations import Access, Answer, View, blueprint, json_of, operation
from audit_service.context import Viewer, current_context, read_session
from audit_service.events.base import EventFilters, Kind
from audit_service.events.kinds import KINDS
from audit_service.history import query
from audit_service.history.cursor import Cursors
from audit_service.history.export import CONTENT_TYPES, Format
from audit_service.history.parameters import Paging, Sorting
from audit_service.history.question import Question
from audit_service.web.answers import OUR_ERRORS, problem, register_errors

T = TypeVar("T")

_TYPES: dict[str, Format | None] = {
    "application/json": None,
    "text/csv": Format.CSV,
    "text/csv; charset=utf-8": Format.CSV,
    **{content_type: form for form, content_type in CONTENT_TYPES.items()},
}
METHODS = ("GET", "HEAD", "OPTIONS")
EVERY_METHOD = (*METHODS, "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY")


NextUrl = Annotated[str, Meta(extra_json_schema={"format": "uri-reference"})]


class Page(msgspec.Struct, Generic[T]):
    """A part of a result, and where the part after it is: the cursor and the URL, both null at the end."""

    items: list[T]
    next: str | None
    next_url: NextUrl | None


def list_events(kind: Kind, viewer: Viewer, filters: EventFilters, paging: Paging) -> Response:
    """List a page of events."""
    question = Question(kind=kind, filters=filters, order=paging.order, owner=owner_of_view(viewer))
    cursors = Cursors(current_context().signing_key(), question)
    after = cursors.decode(paging.cursor) if paging.cursor is not None else None
    record_reading(viewer)
    items, position = query.list_events(read_session(), question, limit=paging.limit, after=after)
    return page_answer(items, cursors.encode(position) if position else None)


def page_answer(items: list[Any], cursor: str | None) -> Response:
    """Answer with a page; *cursor* is where the part after it is."""
    answer = readable_answer(Page(items=items, next=cursor, next_url=_next_url(cursor)))
    if cursor:
        answer.headers["Link"] = f'<{_next_url(cursor)}>; rel="next"'
    return answer


def show_event(kind: Kind, viewer: Viewer, event_id: str) -> AnyResponse:
    """Show one event. It never changes, so a client may keep it, and ask whether it may still see it (304)."""
    return with_etag(readable_answer(read_event(kind, viewer, event_id)), "private, no-cache")


def read_event(kind: Kind, viewer: Viewer, event_id: str) -> Any:
    """Return the event with this id, and record that it was read. Raises ``NotFound`` if *viewer* may not see it."""
    item = None
    with contextlib.suppress(ValueError):
        item = query.find_event(read_session(), kind, UUID(event_id), owner=owner_of_view(viewer))
    if item is None:
        raise NotFound("there is no such event, or you may not see it")
    record_reading(viewer)
    return item


def with_etag(answer: Response, caching: str) -> AnyResponse:
    """Let clients keep *answer* as *caching* says, and answer 304 to a client that has it already."""
    answer.headers["Cache-Control"] = caching
    answer.add_etag()
    return answer.make_conditional(request) if request.if_none_match else answer


def _preferred(exports: Mapping[Format, View]) -> View | None:
    """Return the export that ``Accept`` prefers; None if it prefers JSON."""
    form = _TYPES[request.accept_mimetypes.best_match(_TYPES, default="application/json")]
    return None if form is None else exports[form]


def _media_type(form: Format) -> str:
    return CONTENT_TYPES[form].split(";", maxsplit=1)[0]


def _declare(kind: Kind) -> None:
    """Add the routes of a kind of event."""
    rule, name = f"/{kind.collection}", kind.collection.replace("-", "_")
    access = Access.AUDITORS if kind.auditors_only else Access.VIEWERS
    exports = {
        form: operation(
            f"{rule}.{form}",
            f"Export {kind.what} as {form.upper()}",
            "Everything that matches, as a stream, one event a line.",
            takes=(kind.filters, Sorting),
            answer=Answer({_media_type(form): str}, "All that match.", headers=("Content-Disposition", "Event-Count")),
            access=access,
            endpoint=f"export_{name}_{form}",
        )(partial(export_events, kind, form))
        for form in Format
    }
    listed = {"application/json": Page[kind.item], **{_media_type(form): str for form in Format}}  # type: ignore[name-defined]
    operation(
        rule,
        f"List {kind.what}",
        "A page as JSON; or all that match as CSV or NDJSON, as `Accept` prefers, and then without `limit` and "
        "`cursor`. Follow `next_url` (also in `Link`) until it is null. With `order=arrival` there is always a "
        "`next`: ask for it again later; a page may then have fewer events than `limit`, or none.",
        takes=(kind.filters, Paging),
        answer=Answer(listed, "A page, or everything.", headers=("Link",)),
        access=access,
        endpoint=f"list_{name}",
        instead=partial(_preferred, exports),
    )(partial(list_events, kind))
    operation(
        f"{rule}/<event_id>",
        f"One of the {kind.what}",
        "An event never changes: send its `ETag` as `If-None-Match`, and the answer is 304.",
        segments={"event_id": {"schema": {"type": "string", "format": "uuid"}, "description": "its `id`"}},
        answer=json_of(kind.item, "ETag"),
        others=(HTTPStatus.NOT_MODIFIED, HTTPStatus.NOT_FOUND),
        access=access,
        endpoint=f"show_{name}",
    )(partial(show_event, kind))


for _kind in KINDS:
    _declare(_kind)


def not_here(_path: str) -> Response:
    """Answer for methods and addresses below the API's that are not there."""
    adapter = current_app.create_url_adapter(request)
    if adapter and adapter.match(method="GET")[0] != request.endpoint:
        raise MethodNotAllowed(METHODS)
    raise NotFound("there is nothing at this address")


@blueprint.after_request
def name_methods(answer: Response) -> Response:
    """Name the methods that there are: to ``OPTIONS`` Flask would name those of ``not_here``, too."""
    if request.method == "OPTIONS" and "Allow" in answer.headers:
        answer.headers["Allow"] = ", ".join(METHODS)
    return answer


register_errors(blueprint, problem, OUR_ERRORS)


def _next_url(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    given: list[tuple[str, Any]] = [item for item in request.args.items(multi=True) if item[0] != "cursor"]
    return f"{quote(request.script_root + request.path)}?{urlencode([*given, ('cursor', cursor)])}"
