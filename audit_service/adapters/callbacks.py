"""Callbacks: the requests with which an OAuth provider sends a user back, whatever library handles them.

The user is the one that Flask-Login logs in during the request, else the one that ``identify`` returns at its end and
did not return at its start.
"""

from flask import Response, current_app, request

from audit_service.adapters import flask_login
from audit_service.adapters.telling import FAILURE, LOGIN, LOGOUT, is_told, set_defaults, tell
from audit_service.context import current_context
from audit_service.values import limits
from audit_service.values.text import clean
from audit_service.vocabulary import Method, Reason

_BEFORE = "audit_service.user_before_callback"
_PROVIDER = "audit_service.provider"
_SERVER_ERROR = 500


def begin(provider: str) -> None:
    """Take note that the current request is a callback of *provider*."""
    environ = request.environ
    environ[_PROVIDER], environ[_BEFORE] = provider, _user()
    set_defaults(method=Method.OAUTH, details={"provider": provider})


def end(response: Response) -> None:
    """Tell of the login or the failure of the callback, unless the app or another adapter has."""
    provider = request.environ.pop(_PROVIDER, None)
    if provider is None or any(is_told(what) for what in (LOGIN, FAILURE, LOGOUT)):
        return
    before, now = request.environ[_BEFORE], _user()
    error = clean(request.args.get("error", ""), limits.UNKNOWN_REASON)
    if error:
        reason = Reason.DENIED if error == "access_denied" else Reason.PROVIDER_ERROR
        tell(FAILURE, now or "", reason=reason, details={"provider": provider, "error": error})
    elif response.status_code >= _SERVER_ERROR:
        tell(FAILURE, now or "", reason=Reason.PROVIDER_ERROR)
    elif now and now != before:
        tell(LOGIN, now)
    elif not now and _can_identify():
        tell(FAILURE, "", reason=Reason.DENIED)


def _user() -> str | None:
    return current_context().identify()


def _can_identify() -> bool:
    """Tell whether a missing user means that no user is logged in: by Flask-Login, or by the app's own ``identify``."""
    return hasattr(current_app, "login_manager") or current_context().seams.identify is not flask_login.identify
