"""The API's routes. Read-only: ``GET`` and ``HEAD``."""

from typing import TypeVar
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException, NotFound

from audit_service.access import current_viewer, owner_of_view, require_auditor
from audit_service.api.parameters import parse
from audit_service.context import current_context, read_session
from audit_service.errors import ParameterError
from audit_service.history.cursor import Cursors
from audit_service.history.filters import ErrorFilters, EventFilters, LoginFilters
from audit_service.history.items import ErrorItem, LoginItem
from audit_service.history.query import find_event, list_events
from audit_service.problems import from_http_exception, problem

Item = TypeVar("Item", LoginItem, ErrorItem)

blueprint = Blueprint("audit_api", __name__, url_prefix="/api")


class EventPage(msgspec.Struct):
    """A part of a result: the events, and the cursor and URL of the part after it, null at the end."""

    items: list[LoginItem] | list[ErrorItem]
    next: str | None
    next_url: str | None


@blueprint.get("/logins")
def list_logins() -> Response:
    """List logins, failed logins and logouts, newest first."""
    return _list(LoginItem, LoginFilters)


@blueprint.get("/logins/<event_id>")
def show_login(event_id: str) -> Response:
    """Show one of them."""
    return _show(LoginItem, event_id)


@blueprint.get("/errors")
def list_errors() -> Response:
    """List unhandled exceptions, newest first."""
    require_auditor(current_viewer())
    return _list(ErrorItem, ErrorFilters)


@blueprint.get("/errors/<event_id>")
def show_error(event_id: str) -> Response:
    """Show one of them."""
    require_auditor(current_viewer())
    return _show(ErrorItem, event_id)


@blueprint.errorhandler(HTTPException)
def on_http_exception(error: HTTPException) -> Response:
    """Answer in the one error shape."""
    return from_http_exception(error)


@blueprint.errorhandler(ParameterError)
def on_parameter_error(error: ParameterError) -> Response:
    """Answer 400 with the parameter's name."""
    return problem(400, error.detail, parameter=error.parameter)


def _list(kind: type[Item], filters_type: type[EventFilters]) -> Response:
    viewer = current_viewer()
    filters, page = parse(request.args, filters_type)
    owner = owner_of_view(viewer)
    cursors = Cursors(current_context().signing_key, kind.__name__, filters, owner or "")
    items, position = list_events(
        read_session(),
        kind,
        filters,
        limit=page.limit,
        owner=owner,
        after=cursors.decode(page.cursor) if page.cursor is not None else None,
    )
    cursor = cursors.encode(position) if position else None
    answer = _json(EventPage(items=items, next=cursor, next_url=_next_url(cursor)))
    if cursor:
        answer.headers["Link"] = f'<{_next_url(cursor)}>; rel="next"'
    return answer


def _show(kind: type[Item], event_id: str) -> Response:
    viewer = current_viewer()
    try:
        item = find_event(read_session(), kind, UUID(event_id), owner=owner_of_view(viewer))
    except ValueError:
        item = None
    if item is None:
        raise NotFound("there is no such event, or you may not see it")
    return _json(item)


def _next_url(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    given = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    return f"{request.base_url}?{urlencode([*given, ('cursor', cursor)])}"


def _json(body: object) -> Response:
    response = Response(msgspec.json.encode(body), content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
