"""Logins that another app has checked itself and reports, one or a list: they become events."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from flask import request
from uuid_utils.compat import uuid7
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, ServiceUnavailable, UnsupportedMediaType

from audit_service.context import current_context
from audit_service.errors import BusyError, IdTakenError, TakenError
from audit_service.events.logins import NewLogin
from audit_service.events.request_info import network_of, parse_address
from audit_service.events.usernames import is_reserved
from audit_service.login.credentials import require_whole_body
from audit_service.login.report import Address, EventId, Report, read_report, wrong_member
from audit_service.values import limits
from audit_service.values.details import normal_details
from audit_service.values.text import clean
from audit_service.values.typed import title_of
from audit_service.vocabulary import Action, Method, Outcome, Reason

AHEAD = timedelta(minutes=limits.REPORT_MINUTES_AHEAD)
UUID_VERSION = 7
TOKEN = "token"  # noqa: S105 - a member of the details
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
            raise wrong_member(place, "id", f"is that of item {seen[event.id]}, too")
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
    report = read_report(place, item)
    address = parse_address(report.remote_addr)
    if report.remote_addr is not None and address is None:
        raise wrong_member(place, "remote_addr", f"must be {title_of(Address)}")
    if report.id is not None and report.id.version != UUID_VERSION:
        raise wrong_member(place, "id", f"must be {title_of(EventId)}")
    if report.reason is not None and report.outcome == Outcome.SUCCESS:
        raise wrong_member(place, "reason", "is for failures only")
    if report.action is Action.LOGOUT and report.outcome == Outcome.FAILURE:
        raise wrong_member(place, "outcome", "of a logout must be `success`")
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
        raise wrong_member(place, "details", f"must not have the member {TOKEN!r}: it names the token of the report")
    try:
        return normal_details({**given, TOKEN: token_name})
    except ValueError as error:
        raise wrong_member(place, "details", str(error).removeprefix("details ")) from None


def _timestamp(place: int, report: Report) -> datetime:
    """Return when it happened: a report that comes again under its id must be the same event."""
    now = datetime.now(UTC)
    here = f"it is {now.isoformat(timespec='seconds')} here"
    if report.timestamp is not None:
        if report.timestamp > now + AHEAD:
            raise wrong_member(place, "timestamp", f"must not be in the future; {here}")
        return report.timestamp
    if report.id is None:
        return now
    since_epoch = timedelta(milliseconds=report.id.int >> 80)  # RFC 9562, section 5.7
    if since_epoch > now + AHEAD - EPOCH:
        raise wrong_member(place, "id", f"has a time in the future: give a timestamp, too; {here}")
    return EPOCH + since_epoch


def _app(place: int, report: Report, token_name: str) -> str:
    """Return which app it happened in: never this service, whose events only it may record."""
    app = report.app or token_name
    if app == current_context().app_name:
        raise wrong_member(
            place, "app", f"must not be {app!r}, which is this service: name the app that checked the login"
        )
    return app


def _username(place: int, report: Report) -> str:
    if report.reason is Reason.UNKNOWN_USER:
        return current_context().unknown_username(report.username)
    name = clean(report.username, limits.USERNAME)
    if is_reserved(name):
        what = f"{name[:64]!r} stands for other names: only a failure with the reason unknown_user may hold it"
        raise wrong_member(place, "username", what)
    return name
