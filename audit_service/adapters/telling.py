"""How an adapter tells of a login: at the end of the request, so that the app's own word comes first.

A login that the app's signal and a library both tell of is one event, the app's.
"""

import logging
from typing import Any

from flask import Flask, Response, current_app, session

from audit_service.errors import AuditUnavailable
from audit_service.events.told import What, told
from audit_service.signals import login_failed_signal, login_signal, logout_signal
from audit_service.vocabulary import Action, Outcome
from audit_service.web.answers import problem

logger = logging.getLogger("audit_service")

LOGIN: What = (Action.LOGIN, Outcome.SUCCESS)
FAILURE: What = (Action.LOGIN, Outcome.FAILURE)
LOGOUT: What = (Action.LOGOUT, Outcome.SUCCESS)
_SIGNALS = {LOGIN: login_signal, FAILURE: login_failed_signal, LOGOUT: logout_signal}


def tell(what: What, username: object, **arguments: Any) -> None:
    """Let the current request record *what* a library has done, with the arguments of its signal.

    Told again, it has the arguments of both; the first word on each of them counts.
    """
    told().pending[what] = {"username": username, **arguments, **told().pending.get(what, {})}


def record_told(response: Response) -> Response:
    """Record what libraries have told of in this request.

    A login that cannot be recorded is undone, and answered 503.
    """
    told_now = told()
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - documented
    for what, arguments in told_now.pending.items():
        if what in told_now.recorded:
            continue
        try:
            _SIGNALS[what].send(app, **arguments)
        except AuditUnavailable as error:
            if what == LOGIN:
                session.clear()
                response = problem(error)
            else:  # what has failed or ended stays so
                logger.critical("%s of %r is lost: %s", *what, app.name, error)
        except Exception:
            logger.exception("a login that a library has told of could not be recorded")
    told_now.pending.clear()
    return response
