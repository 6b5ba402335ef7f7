"""How an adapter tells of a login: the signal is pending until the end of the request, and sent then.

A login that the app has sent a signal of by then is one event, the app's.
"""

import logging
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, current_app, request, session

from audit_service.context import current_context
from audit_service.errors import AuditUnavailable
from audit_service.events.told import What, told
from audit_service.signals import login_failed_signal, login_signal, logout_signal
from audit_service.vocabulary import Action, Outcome

logger = logging.getLogger("audit_service")

LOGIN: What = (Action.LOGIN, Outcome.SUCCESS)
FAILURE: What = (Action.LOGIN, Outcome.FAILURE)
LOGOUT: What = (Action.LOGOUT, Outcome.SUCCESS)
_SIGNALS = {LOGIN: login_signal, FAILURE: login_failed_signal, LOGOUT: logout_signal}


def tell(what: What, username: str, **arguments: Any) -> None:
    """Make the signal of *what* pending, for *username* and with more *arguments*.

    A second call for the same user adds the arguments that the first one did not have.
    """
    pending = told().pending
    pending[what, username] = {**arguments, **pending.get((what, username), {})}


def withdraw(what: What, username: str) -> None:
    """Forget the pending signal of *what*: a later signal of the library shows that it was something else."""
    told().pending.pop((what, username), None)


def is_told(what: What) -> bool:
    """Tell whether *what* has happened in the current request, by a signal of the app or by an adapter."""
    return told().tells_of(what)


def typed(*fields: str) -> str:
    """Return the first of *fields* that the request has as a text, in its form or its JSON; "" if it has none."""
    sent: Any = request.form or request.get_json(silent=True)
    values = (sent.get(field) for field in fields) if isinstance(sent, Mapping) else ()
    return next((value for value in values if isinstance(value, str) and value), "")


def set_defaults(**arguments: Any) -> None:
    """Give *arguments* to the pending signals of this request that do not have them."""
    told().defaults.update(arguments)


def record_told(response: Response) -> Response:
    """Send the signals that are pending in this request; return the answer to give.

    A login that cannot be recorded is undone: the session is emptied, and the answer is the one that the app has for
    ``AuditUnavailable``, by default 503.
    """
    told_now = told()
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - documented
    pending, told_now.pending = told_now.pending, {}
    by_the_app = frozenset(told_now.recorded)
    for (what, username), arguments in pending.items():
        if what in by_the_app:
            continue
        try:
            _SIGNALS[what].send(app, username=username, **{**told_now.defaults, **arguments})
        except Exception as error:
            if not isinstance(error, AuditUnavailable):
                logger.exception("an event of a login library could not be recorded")
                if what in told_now.recorded or current_context().settings.unavailable == "allow":
                    continue  # another receiver of the signal has failed, or the login goes on without its event
                error = AuditUnavailable(f"the event could not be recorded: {type(error).__name__}")
            if what == LOGIN:
                empty_session()
                response = app.make_response(app.handle_user_exception(error))
            else:  # what has failed or ended stays so
                logger.critical("an event of %r is lost: %s, %s: %s", app.name, *what, error)
    return response


def empty_session() -> None:
    """Take back what a login has left in the session, if the app has one."""
    if session:  # that of an app without a secret key cannot be emptied, and holds nothing
        session.clear()
