"""The API's routes. Read-only: ``GET`` and ``HEAD``."""

import contextlib
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec
from flask import Response, current_app, request
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.wrappers import Response as AnyResponse

from audit_service.access.viewer import owner_of_view, record_reading, viewer_for
from audit_service.api.exports import export_events
from audit_service.api.queries import parse_query
from audit_service.context import current_context, end_reading, read_session
from audit_service.events.admin import AdminItem
from audit_service.events.base import Kind
from audit_service.events.errors import ERRORS, ErrorFilters, ErrorItem
from audit_service.events.kinds import KINDS
from audit_service.events.logins import LoginFilters, LoginItem
from audit_service.history.cursor import Cursors
from audit_service.history.export import CONTENT_TYPES, Format
from audit_service.history.groups import group_errors
from audit_service.history.last import last_logins
from audit_service.history.parameters import GroupLimit, Name, Paging
from audit_service.history.query import find_event, list_events
from audit_service.history.question import Question
from audit_service.history.summary import Summing, summarise
from audit_service.web.answers import OUR_ERRORS, json_answer, problem, register_errors
from audit_service.web.routes import PlainBlueprint

blueprint = PlainBlueprint(
    "audit_api",
    __name__,
    url_prefix="/api",
    template_folder="templates",
    static_folder="static",
    static_url_path="/docs/static",
)
_EXPORT_TYPES = {
    "text/csv": Format.CSV,
    "text/csv; charset=utf-8": Format.CSV,
    **{content_type: form for form, content_type in CONTENT_TYPES.items()},
}
_METHODS = ("GET", "HEAD", "OPTIONS")
_EVERY_METHOD = (*_METHODS, "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY")


class EventPage(msgspec.Struct):
    """A part of a result: the events, and the cursor and URL of the part after it, null at the end."""

    items: list[LoginItem] | list[ErrorItem] | list[AdminItem]
    next: str | None
    next_url: str | None


def list_kind(kind: Kind) -> Response:
    """List events: a page as JSON, or all that match as CSV or NDJSON, as ``Accept`` prefers."""
    types = {"application/json": None, **_EXPORT_TYPES}
    form = types[request.accept_mimetypes.best_match(types, default="application/json")]
    if form is not None:
        return export_events(kind, form)
    viewer = viewer_for(auditors_only=kind.auditors_only)
    filters, paging = parse_query(kind.filters, Paging)
    question = Question(kind=kind, filters=filters, order=paging.order, owner=owner_of_view(viewer))
    cursors = Cursors(current_context().signing_key(), question)
    after = cursors.decode(paging.cursor) if paging.cursor is not None else None
    record_reading(viewer)
    items, position = list_events(read_session(), question, limit=paging.limit, after=after)
    cursor = cursors.encode(position) if position else None
    answer = json_answer(EventPage(items=items, next=cursor, next_url=_next_url(cursor)))
    if cursor:
        answer.headers["Link"] = f'<{_next_url(cursor)}>; rel="next"'
    return answer


def show_event(kind: Kind, event_id: str) -> AnyResponse:
    """Show one event. It never changes, so whoever has it may keep it, and ask whether they still may see it (304)."""
    viewer = viewer_for(auditors_only=kind.auditors_only)
    parse_query()
    item = None
    with contextlib.suppress(ValueError):
        item = find_event(read_session(), kind, UUID(event_id), owner=owner_of_view(viewer))
    if item is None:
        raise NotFound("there is no such event, or you may not see it")
    record_reading(viewer)
    return with_etag(json_answer(item), "private, no-cache")


def with_etag(answer: Response, caching: str) -> AnyResponse:
    """Let whoever has *answer* keep it as *caching* says, and answer 304 if it is the one that they have."""
    answer.headers["Cache-Control"] = caching
    answer.add_etag()
    return answer.make_conditional(request) if request.if_none_match else answer


@blueprint.get("/logins/summary")
def show_summary() -> Response:
    """Count logins, failed logins and logouts by hour, day, username, and others."""
    viewer = viewer_for(auditors_only=False)
    filters, summing = parse_query(LoginFilters, Summing)
    record_reading(viewer)
    now = datetime.now(UTC)
    return json_answer(summarise(read_session(), filters, summing, owner=owner_of_view(viewer), now=now))


@blueprint.get("/logins/last")
def show_last() -> Response:
    """Show the last login of a name that succeeded, the last that failed, and the failures since."""
    viewer = viewer_for(auditors_only=False)
    (name,) = parse_query(Name)
    record_reading(viewer)
    return json_answer(last_logins(read_session(), name.username, owner=owner_of_view(viewer)))


@blueprint.get("/errors/groups")
def list_groups() -> Response:
    """List the errors by fingerprint: how many, the first, the last, and the newest as an example."""
    viewer = viewer_for(auditors_only=ERRORS.auditors_only)
    filters, groups = parse_query(ErrorFilters, GroupLimit)
    record_reading(viewer)
    return json_answer(group_errors(read_session(), filters, limit=groups.limit, now=datetime.now(UTC)))


for _each in KINDS:
    _rule, _name = f"/{_each.collection}", _each.collection.replace("-", "_")
    blueprint.add_url_rule(_rule, f"list_{_name}", partial(list_kind, _each))
    blueprint.add_url_rule(f"{_rule}/<event_id>", f"show_{_name}", partial(show_event, _each))
    for _form in Format:
        blueprint.add_url_rule(f"{_rule}.{_form}", f"export_{_name}_{_form}", partial(export_events, _each, _form))


@blueprint.route("/<path:_path>", methods=_EVERY_METHOD, provide_automatic_options=False)
def refuse(_path: str) -> Response:
    """Answer for paths and methods that are not here, so that a host's own error pages do not."""
    adapter = current_app.create_url_adapter(request)
    if adapter and adapter.match(method="GET")[0] != request.endpoint:
        raise MethodNotAllowed(_METHODS)
    raise NotFound("there is nothing at this address")


@blueprint.after_request
def leave_session(answer: Response) -> Response:
    """Leave the app's session to the app as it was."""
    end_reading()
    return answer


@blueprint.after_request
def name_methods(answer: Response) -> Response:
    """Name the methods that there are: to ``OPTIONS`` Flask would name those that ``refuse`` refuses, too."""
    if request.method == "OPTIONS" and "Allow" in answer.headers:
        answer.headers["Allow"] = ", ".join(_METHODS)
    return answer


register_errors(blueprint, problem, OUR_ERRORS)


def _next_url(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    given: list[tuple[str, Any]] = [item for item in request.args.items(multi=True) if item[0] != "cursor"]
    return f"{quote(request.script_root + request.path)}?{urlencode([*given, ('cursor', cursor)])}"
