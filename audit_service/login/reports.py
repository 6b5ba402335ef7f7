"""Logins that another app has checked itself, and reports: one, or a list."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from flask import request
from msgspec import Meta
from uuid_utils.compat import uuid7
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, ServiceUnavailable, UnsupportedMediaType

from audit_service.context import current_context
from audit_service.errors import BusyError, IdTakenError, ItemError, TakenError
from audit_service.events import request_info
from audit_service.events.base import TIME_TITLE
from audit_service.events.logins import NewLogin
from audit_service.events.request_info import network_of, parse_address
from audit_service.events.usernames import is_reserved
from audit_service.login.credentials import require_whole_body
from audit_service.values import limits
from audit_service.values.details import normal_details
from audit_service.values.text import clean
from audit_service.values.typed import convert, title_of
from audit_service.vocabulary import Action, Method, Outcome, Reason

AHEAD = timedelta(minutes=limits.REPORT_MINUTES_AHEAD)
UUID_VERSION = 7
TOKEN = "token"  # noqa: S105 - a member of the details
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Username = Annotated[str, Meta(min_length=1, title="a text that is not empty")]
OutcomeName = Annotated[Outcome, Meta(title="`success` or `failure`")]
ReasonName = Annotated[Reason, Meta(title="one of " + ", ".join(f"`{reason}`" for reason in Reason))]
Address = Annotated[str, Meta(title="an IPv4 or IPv6 address")]
ActionName = Annotated[Action, Meta(title="`login` or `logout`")]
Text = Annotated[str, Meta(title="a text")]
MethodName = Annotated[str, Meta(min_length=1, title="a text that is not empty")]
RequestId = Annotated[
    str,
    Meta(
        pattern=request_info.REQUEST_ID,
        title=f"1 to {limits.REQUEST_ID} letters, digits and . _ : / + = -, a letter or digit first",
    ),
]
Details = Annotated[dict[str, Any], Meta(title="a JSON object")]
Time = Annotated[datetime, Meta(tz=True, title=TIME_TITLE)]
App = Annotated[str, Meta(min_length=1, max_length=limits.APP, title=f"a text of 1 to {limits.APP} characters")]
EventId = Annotated[UUID, Meta(title="a UUIDv7 (RFC 9562)")]


class Report(msgspec.Struct, kw_only=True):
    """A login or logout as another app tells it. ``id`` makes a second try harmless; without it one is made.

    Without ``timestamp`` it happened at the time that the ``id`` holds, else now.
    """

    username: Username
    outcome: OutcomeName
    action: ActionName = Action.LOGIN
    reason: ReasonName | None = None
    remote_addr: Address | None = None
    user_agent: Text | None = None
    timestamp: Time | None = None
    app: App | None = None
    method: MethodName | None = None
    details: Details | None = None
    request_id: RequestId | None = None
    id: EventId | None = None


_FIELDS = {field.name: field for field in msgspec.structs.fields(Report)}


def read_reports(token_name: str) -> list[NewLogin]:
    """Return the logins that the JSON body reports.

    Raises ``ItemError`` (422), which names the first item that is wrong, ``BadRequest``, ``UnsupportedMediaType``, or
    ``RequestEntityTooLarge`` for more than ``limits.REPORTS``.
    """
    request.max_content_length = limits.REPORTS_BYTES
    require_whole_body(request)
    if not request.is_json:
        raise UnsupportedMediaType("send reported logins as application/json")
    try:
        body = request.get_json(silent=True)
    except RecursionError:
        body = None
    items = body if isinstance(body, list) else [body]
    if not items or not isinstance(body, list | dict):
        raise BadRequest('send a JSON object, {"username": "…", "outcome": "…"}, or a list of them')
    most = min(limits.REPORTS, current_context().settings.queue_limit)
    if len(items) > most:
        raise RequestEntityTooLarge(f"a list may have {most} items, this one has {len(items)}")
    events = [_event(place, item, token_name) for place, item in enumerate(items)]
    seen: dict[UUID, int] = {}
    for place, event in enumerate(events):
        if seen.setdefault(event.id, place) != place:
            raise _wrong(place, "id", f"is that of item {seen[event.id]}, too")
    return events


def record_reports(events: list[NewLogin]) -> None:
    """Record them.

    Raises ``TakenError`` (409) for those whose id another event has, ``ServiceUnavailable`` (503) with ``Retry-After``
    if nothing was recorded since too many lists are waiting, and ``AuditUnavailable``.
    """
    try:
        current_context().record_all(events)
    except BusyError:
        raise ServiceUnavailable(
            "other lists are being recorded, so nothing of this one is; please send it again", retry_after=1
        ) from None
    except IdTakenError as error:
        first, *others = error.places
        more = f", as are those of {', '.join(map(str, others))}" if others else ""
        detail = f"item {first}: id is that of another event{more}; all other items are recorded"
        raise TakenError(f"/{first}/id", detail) from None


def _event(place: int, item: Any, token_name: str) -> NewLogin:
    report = _report(place, item)
    address = parse_address(report.remote_addr)
    if report.remote_addr is not None and address is None:
        raise _wrong(place, "remote_addr", f"must be {title_of(Address)}")
    if report.id is not None and report.id.version != UUID_VERSION:
        raise _wrong(place, "id", f"must be {title_of(EventId)}")
    if report.reason is not None and report.outcome == Outcome.SUCCESS:
        raise _wrong(place, "reason", "is for failures only")
    if report.action is Action.LOGOUT and report.outcome == Outcome.FAILURE:
        raise _wrong(place, "outcome", "of a logout must be `success`")
    return NewLogin(
        id=report.id or uuid7(),
        timestamp=_timestamp(place, report),
        app=_app(place, report, token_name),
        username=_username(place, report),
        remote_addr=address,
        network=network_of(address),
        request_id=report.request_id,
        action=report.action,
        outcome=report.outcome,
        reason=(report.reason or Reason.OTHER) if report.outcome == Outcome.FAILURE else None,
        user_agent=clean(report.user_agent, limits.USER_AGENT) if report.user_agent else None,
        method=clean(report.method, limits.METHOD) if report.method else Method.REPORTED,
        details=_details(place, report, token_name),
    )


def _details(place: int, report: Report, token_name: str) -> dict[str, Any] | None:
    """Return the details of the report, and the name of the token that it came with."""
    given = report.details or {}
    if TOKEN in given:
        raise _wrong(place, "details", f"must not have the member {TOKEN!r}: it names the token of the report")
    try:
        return normal_details({**given, TOKEN: token_name})
    except ValueError as error:
        raise _wrong(place, "details", str(error).removeprefix("details ")) from None


def _timestamp(place: int, report: Report) -> datetime:
    """Return when it happened: a report that comes again under its id must be the same event."""
    now = datetime.now(UTC)
    here = f"it is {now.isoformat(timespec='seconds')} here"
    if report.timestamp is not None:
        if report.timestamp > now + AHEAD:
            raise _wrong(place, "timestamp", f"must not be in the future; {here}")
        return report.timestamp
    if report.id is None:
        return now
    since_epoch = timedelta(milliseconds=report.id.int >> 80)  # RFC 9562, section 5.7
    if since_epoch > now + AHEAD - EPOCH:
        raise _wrong(place, "id", f"has a time in the future: give a timestamp, too; {here}")
    return EPOCH + since_epoch


def _app(place: int, report: Report, token_name: str) -> str:
    """Return which app it happened in: never this service, whose events only it may record."""
    app = report.app or token_name
    if app == current_context().app_name:
        raise _wrong(place, "app", f"must not be {app!r}, which is this service: name the app that checked the login")
    return app


def _username(place: int, report: Report) -> str:
    if report.reason is Reason.UNKNOWN_USER:
        return current_context().unknown_username(report.username)
    name = clean(report.username, limits.USERNAME)
    if is_reserved(name):
        what = f"{name[:64]!r} stands for other names: only a failure with the reason unknown_user may hold it"
        raise _wrong(place, "username", what)
    return name


def _report(place: int, item: Any) -> Report:
    if not isinstance(item, dict):
        raise ItemError(f"/{place}", f"item {place} must be a JSON object")
    for name in item:
        if name not in _FIELDS:
            raise _wrong(place, clean(name, 64), f"is not a field here; these are: {', '.join(_FIELDS)}")
    values = {}
    for name, field in _FIELDS.items():
        if item.get(name) is not None:
            values[name] = _value(place, name, item[name], field.type)
        elif field.required:
            raise _wrong(place, name, f"must be {title_of(field.type)}")
    return Report(**values)


def _value(place: int, name: str, value: Any, annotation: Any) -> Any:
    try:
        return convert(clean(value, limits.REPORT_TEXT) if isinstance(value, str) else value, annotation)
    except ValueError as error:
        raise _wrong(place, name, str(error)) from None


def _wrong(place: int, name: str, what: str) -> ItemError:
    pointer = name.replace("~", "~0").replace("/", "~1")
    return ItemError(f"/{place}/{pointer}", f"item {place}: {name} {what}")
