"""The API's routes. Read-only: ``GET`` and ``HEAD``."""

import contextlib
from typing import TypeVar
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from flask import Blueprint, Response, current_app, request, url_for
from werkzeug.exceptions import MethodNotAllowed, NotFound

from audit_service.access import current_viewer, owner_of_view, require_auditor
from audit_service.answers import OUR_ERRORS, json_answer, problem, register_errors
from audit_service.api.parameters import parse
from audit_service.context import Viewer, current_context, read_session
from audit_service.details import normal_details
from audit_service.errors import ParameterError
from audit_service.history.cursor import Cursors
from audit_service.history.filters import AdminFilters, ErrorFilters, EventFilters, LoginFilters
from audit_service.history.items import AdminItem, ErrorItem, LoginItem
from audit_service.history.query import find_event, list_events
from audit_service.text import clean
from audit_service.vocabulary import AdminAction

Item = TypeVar("Item", LoginItem, ErrorItem, AdminItem)

TARGET_LIMIT = 255  # characters

blueprint = Blueprint("audit_api", __name__, url_prefix="/api")


class EventPage(msgspec.Struct):
    """A part of a result: the events, and the cursor and URL of the part after it, null at the end."""

    items: list[LoginItem] | list[ErrorItem] | list[AdminItem]
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
    return _list(ErrorItem, ErrorFilters, auditors_only=True)


@blueprint.get("/errors/<event_id>")
def show_error(event_id: str) -> Response:
    """Show one of them."""
    return _show(ErrorItem, event_id, auditors_only=True)


@blueprint.get("/admin-events")
def list_admin_events() -> Response:
    """List changes of accounts and tokens, looks at the history, starts and stops, newest first."""
    return _list(AdminItem, AdminFilters, auditors_only=True)


@blueprint.get("/admin-events/<event_id>")
def show_admin_event(event_id: str) -> Response:
    """Show one of them."""
    return _show(AdminItem, event_id, auditors_only=True)


@blueprint.route("/<path:_path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def refuse(_path: str) -> Response:
    """Answer for paths and methods that are not here, so that a host's own error pages do not."""
    adapter = current_app.create_url_adapter(request)
    if adapter and adapter.match(method="GET")[0] != request.endpoint:
        raise MethodNotAllowed(["GET", "HEAD", "OPTIONS"])
    raise NotFound("there is nothing at this address")


register_errors(blueprint, problem, OUR_ERRORS)


def _viewer(*, auditors_only: bool) -> Viewer:
    viewer = current_viewer()
    if auditors_only:
        require_auditor(viewer)
    return viewer


def _record_access(viewer: Viewer) -> None:
    """Looking at the history of others is an admin event (PCI DSS 10.2.1.3); looking at one's own is not."""
    if owner_of_view(viewer) is None:
        audit = current_context()
        question = {name: values for name, values in sorted(request.args.lists()) if name not in ("cursor", "limit")}
        target = clean(request.path, TARGET_LIMIT)
        try:
            details = normal_details(question)
        except ValueError:  # a list of names, perhaps, that is longer than an event may be
            details = {"parameters": sorted(question)}
        audit.accesses.record(audit.actor(viewer.name).did(AdminAction.HISTORY_READ, target, details))


def _list(kind: type[Item], filters_type: type[EventFilters], *, auditors_only: bool = False) -> Response:
    viewer = _viewer(auditors_only=auditors_only)
    owner = owner_of_view(viewer)
    filters, page = parse(request.args, filters_type)
    cursors = Cursors(current_context().signing_key(), kind.__name__, filters, owner or "")
    after = cursors.decode(page.cursor) if page.cursor is not None else None
    _record_access(viewer)
    items, position = list_events(read_session(), kind, filters, limit=page.limit, owner=owner, after=after)
    cursor = cursors.encode(position) if position else None
    answer = json_answer(EventPage(items=items, next=cursor, next_url=_next_url(cursor)))
    if cursor:
        answer.headers["Link"] = f'<{_next_url(cursor)}>; rel="next"'
    return answer


def _show(kind: type[Item], event_id: str, *, auditors_only: bool = False) -> Response:
    viewer = _viewer(auditors_only=auditors_only)
    for name in request.args:
        raise ParameterError(clean(name, 64), f"{clean(name, 64)} is not a parameter here; there are none")
    item = None
    with contextlib.suppress(ValueError):
        item = find_event(read_session(), kind, UUID(event_id), owner=owner_of_view(viewer))
    if item is None:
        raise NotFound("there is no such event, or you may not see it")
    _record_access(viewer)
    return json_answer(item)


def _next_url(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    given = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    return f"{url_for(str(request.endpoint))}?{urlencode([*given, ('cursor', cursor)])}"
