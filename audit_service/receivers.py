"""Signal → event → recorder, and nothing else.

The receivers are module-level functions, so blinker's weak references to them never vanish. Connecting twice is
connecting once.
"""

import logging
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec
from flask import Flask, current_app, got_request_exception

from audit_service import request_info, tracebacks
from audit_service.context import EXTENSION, AuditContext, context_of
from audit_service.errors import AuditUnavailable
from audit_service.events import DETAILS_LIMIT, NewError, NewLogin
from audit_service.signals import login_failed_signal, login_signal, logout_signal
from audit_service.text import clean
from audit_service.vocabulary import Action, Outcome, Reason

logger = logging.getLogger("audit_service")

METHOD_LIMIT = 32
MAX_NUMBER = 2**53  # beyond it readers of JSON lose digits (RFC 8259, section 6)


def connect() -> None:
    """Connect the receivers to the signals of every app in this process."""
    login_signal.connect(on_login)
    login_failed_signal.connect(on_login_failed)
    logout_signal.connect(on_logout)
    got_request_exception.connect(on_exception)


def stored(answers: Iterable[tuple[Any, Any]]) -> UUID:
    """Return the event's id out of the *answers* of ``send``; raise ``AuditUnavailable`` if nobody stored an event."""
    for receiver, answer in answers:
        if receiver in (on_login, on_login_failed, on_logout):
            event_id: UUID = answer
            return event_id
    raise AuditUnavailable("no audit receiver is connected to the signal")


def on_login(sender: object, *, username: object, **arguments: Any) -> UUID:
    """Record a successful login."""
    return _record(sender, username, Action.LOGIN, Outcome.SUCCESS, **arguments)


def on_login_failed(sender: object, *, username: object, reason: str = Reason.OTHER, **arguments: Any) -> UUID:
    """Record a failed login; a *reason* outside the vocabulary is stored as ``other``."""
    try:
        known = Reason(reason)
    except ValueError:
        known = Reason.OTHER
    return _record(sender, username, Action.LOGIN, Outcome.FAILURE, reason=known, **arguments)


def on_logout(sender: object, *, username: object, **arguments: Any) -> UUID:
    """Record a logout."""
    return _record(sender, username, Action.LOGOUT, Outcome.SUCCESS, **arguments)


def on_exception(sender: object, *, exception: BaseException, **_extra: Any) -> None:
    """Record an unhandled exception. Whatever goes wrong here is logged: the original error goes its own way."""
    try:
        if isinstance(sender, Flask) and EXTENSION in sender.extensions:
            audit = context_of(sender)
            audit.recorder.record(_describe(audit, exception))
    except Exception:
        logger.exception("an unhandled exception could not be recorded")


def _context(sender: object) -> AuditContext:
    return context_of(sender if isinstance(sender, Flask) else current_app)


def _record(
    sender: object,
    username: object,
    action: Action,
    outcome: Outcome,
    *,
    reason: Reason | None = None,
    method: str = "password",
    details: dict[str, Any] | None = None,
    **_extra: Any,
) -> UUID:
    audit = _context(sender)
    event = NewLogin(
        app=audit.settings.app_name,
        username=clean(str(username), request_info.USERNAME_LIMIT),
        remote_addr=request_info.remote_addr(),
        request_id=request_info.request_id(),
        action=action,
        outcome=outcome,
        reason=reason,
        user_agent=request_info.user_agent(),
        method=clean(str(method), METHOD_LIMIT),
        details=_bounded(details),
    )
    return audit.recorder.record(event)


def _bounded(details: dict[str, Any] | None) -> dict[str, Any] | None:
    """Make *details* storable JSON on every database: clean text, at most 4 KiB; raise ``ValueError`` for others."""
    if not details:
        return None
    cleaned = _clean_json(msgspec.to_builtins(details, str_keys=True))
    if len(msgspec.json.encode(cleaned)) > DETAILS_LIMIT:
        raise ValueError(f"details must be at most {DETAILS_LIMIT} bytes of JSON")
    return dict(cleaned)


def _clean_json(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value, DETAILS_LIMIT)
    if isinstance(value, dict):
        return {clean(key, DETAILS_LIMIT): _clean_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean_json(item) for item in value]
    if isinstance(value, int | float) and not -MAX_NUMBER <= value <= MAX_NUMBER:  # also true of NaN
        raise ValueError("details must not contain numbers that JSON readers do not agree on")
    return value


def _describe(audit: AuditContext, error: BaseException) -> NewError:
    return NewError(
        app=audit.settings.app_name,
        username=request_info.session_username(),
        remote_addr=request_info.remote_addr(),
        request_id=request_info.request_id(),
        exception_type=tracebacks.exception_type(error),
        message=tracebacks.message(error),
        traceback=tracebacks.format_traceback(error),
        fingerprint=tracebacks.fingerprint(error),
        http_method=request_info.http_method(),
        path=request_info.path(),
        endpoint=request_info.endpoint(),
    )
