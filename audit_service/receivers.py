"""Signal → event → recorder, and nothing else.

The receivers are module-level functions, so blinker's weak references to them never vanish. Connecting twice is
connecting once. They are connected as this module is imported: a signal of an app without a trail is then an error.
"""

import difflib
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from blinker import ANY, NamedSignal
from flask import Flask, current_app, got_request_exception
from werkzeug.local import LocalProxy

from audit_service.context import EXTENSION, context_of, current_context
from audit_service.errors import AuditUnavailable, NotConfiguredError
from audit_service.events import request_info
from audit_service.events.logins import NewLogin
from audit_service.events.told import told
from audit_service.signals import login_failed_signal, login_signal, logout_signal
from audit_service.values import limits
from audit_service.values.details import normal_details
from audit_service.values.text import clean
from audit_service.vocabulary import Action, Outcome, Reason

logger = logging.getLogger("audit_service")

SHOWN = 64  # characters of a name or reason in a warning
WARNINGS_LIMIT = 100  # in one process: an app may make names and reasons out of what it is sent
OPTIONAL = frozenset({"method", "details"})  # arguments that every signal takes
_EVENTS = {
    login_signal: (Action.LOGIN, Outcome.SUCCESS),
    login_failed_signal: (Action.LOGIN, Outcome.FAILURE),
    logout_signal: (Action.LOGOUT, Outcome.SUCCESS),
}
_warned: set[str] = set()


def connect() -> None:
    """Connect the receivers to the signals of every app in this process."""
    for signal, receiver in RECEIVERS.items():
        signal.connect(receiver)


def require_connected() -> None:
    """Raise ``NotConfiguredError`` unless every audit receiver is connected.

    To send a signal that has no receiver is no error.
    """
    for signal, receiver in RECEIVERS.items():
        if receiver not in signal.receivers_for(ANY):
            raise NotConfiguredError(
                f"the audit receiver {receiver.__name__} is not connected to the signal {signal.name!r}"
            )


def stored(answers: Iterable[tuple[Any, Any]]) -> UUID | None:
    """Return the event's id out of the *answers* of ``send``; None if it was excluded or ``allow`` has lost it.

    Raises ``AuditUnavailable`` if no receiver has answered.
    """
    for receiver, answer in answers:
        if receiver in RECEIVERS.values():
            event_id: UUID | None = answer
            return event_id
    raise AuditUnavailable("no audit receiver is connected to the signal")


def on_login(sender: object, *, username: object, **arguments: Any) -> UUID | None:
    """Record a successful login."""
    return _record(login_signal, sender, username, arguments)


def on_login_failed(sender: object, *, username: object, reason: Any = Reason.OTHER, **arguments: Any) -> UUID | None:
    """Record a failed login; a *reason* outside the vocabulary is stored as ``other``, its text in ``details``."""
    try:
        known = Reason(reason)
    except ValueError:
        known = Reason.OTHER
        if reason is not None:
            arguments["details"] = _with_reason(arguments.get("details"), reason)
    return _record(login_failed_signal, sender, username, arguments, known)


def on_logout(sender: object, *, username: object, **arguments: Any) -> UUID | None:
    """Record a logout."""
    return _record(logout_signal, sender, username, arguments)


def on_exception(sender: object, *, exception: BaseException, **_extra: Any) -> None:
    """Record an unhandled exception, or count it if there were many of its kind."""
    if isinstance(sender, Flask) and EXTENSION in sender.extensions:
        record_error(exception, sender)


def record_error(error: BaseException, app: Flask | None = None) -> None:
    """Record an exception that the code has caught, with the facts of the current request if there is one.

    It is an event of *app*, by default of the current app. An exception that comes a second time in the same request,
    because it is logged or raised once more, is one event, unless another exception came between. An exception in the
    recording is logged, not raised. Raises ``NotConfiguredError`` if the app has no trail.
    """
    app = _app_of(app)
    audit = context_of(app)
    told_now = told(app)
    if error is told_now.last_error:
        return
    told_now.last_error = error
    try:
        audit.record_error(error, request_info.client(), request_info.target())
    except Exception:
        logger.exception("an exception could not be recorded")


def error_recorder() -> Callable[[Exception], None]:
    """Return a function that records an exception with the facts of the current request, also when that is over.

    It is for streamed answers, for whose exceptions Flask sends no signal. What goes wrong in recording is logged.
    """
    audit, client, target = current_context(), request_info.client(), request_info.target()

    def record(error: Exception) -> None:
        try:
            audit.record_error(error, client, target)
        except Exception:
            logger.exception("an exception in a streamed answer could not be recorded")

    return record


RECEIVERS: dict[NamedSignal, Callable[..., Any]] = {
    login_signal: on_login,
    login_failed_signal: on_login_failed,
    logout_signal: on_logout,
    got_request_exception: on_exception,
}


def _app_of(sender: object) -> Flask:
    """Return the app that *sender* is, itself or by a proxy; for any other sender the current one."""
    app = sender if isinstance(sender, Flask) else current_app
    found: Flask = app._get_current_object() if isinstance(app, LocalProxy) else app  # noqa: SLF001 - documented
    return found


def _record(
    signal: NamedSignal,
    sender: object,
    username: object,
    arguments: dict[str, Any],
    reason: Reason | None = None,
) -> UUID | None:
    """Record the event of a signal; *arguments* that no signal takes are ignored, with a warning."""
    if not arguments.keys() <= OPTIONAL:
        known = ["username", *sorted(OPTIONAL), *(["reason"] if signal is login_failed_signal else [])]
        for name in (clean(name, SHOWN) for name in arguments.keys() - OPTIONAL):
            _warn(f"the signal {signal.name!r} takes no argument {name!r}: it is ignored", name, known)
    if not isinstance(username, str | int):
        raise TypeError(f"username must be a text, not {type(username).__name__}")
    app = _app_of(sender)
    audit = context_of(app)
    action, outcome = _EVENTS[signal]
    method = arguments.get("method")
    is_unknown = reason is Reason.UNKNOWN_USER
    name = str(username)
    client = request_info.client()
    event = NewLogin(
        app=audit.app_name,
        username=audit.unknown_username(name, app) if is_unknown else clean(name, limits.USERNAME),
        remote_addr=client.remote_addr,
        network=request_info.network_of(client.remote_addr),
        request_id=client.request_id,
        action=action,
        outcome=outcome,
        reason=reason,
        user_agent=client.user_agent,
        method=None if method is None else clean(str(method), limits.METHOD),
        details=normal_details(arguments.get("details")),
    )
    event_id = audit.record_of_app(event)
    told(app).recorded.add((action, outcome))
    return event_id


def _with_reason(details: object, reason: object) -> dict[str, Any] | None:
    """Return *details* with the text of a *reason* outside the vocabulary, where there is room for it."""
    text = clean(reason if isinstance(reason, str) else type(reason).__name__, limits.UNKNOWN_REASON)
    shown = text[:SHOWN]
    _warn(
        f"{shown!r} is no reason of a failed login: it is stored as 'other', its text in details", shown, list(Reason)
    )
    given = normal_details(details)
    try:
        return normal_details({"reason": text, **(given or {})})
    except ValueError:  # what the app gave fills the 4 KiB, and comes first
        return given


def _warn(what: str, name: str, known: Sequence[str]) -> None:
    """Warn of *what* an app sent, once, and of its *name* tell the nearest of those that are *known*."""
    if what in _warned or len(_warned) >= WARNINGS_LIMIT:
        return
    _warned.add(what)
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
    logger.warning("%s; the nearest is %r", what, str(nearest))


connect()
