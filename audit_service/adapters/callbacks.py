"""A request with which an OAuth provider sends a user back: what its login or its failure is, for any library.

Who logs in is what Flask-Login tells in the same request, or whom ``identify`` names at its end and not at its start.
"""

from flask import Response, current_app, request

from audit_service.adapters import flask_login
from audit_service.adapters.telling import FAILURE, LOGIN, LOGOUT, is_told, make_known, tell
from audit_service.context import current_context
from audit_service.events import request_info
from audit_service.vocabulary import Method, Reason

_BEFORE = "audit_service.user_before_callback"
_PROVIDER = "audit_service.provider"
_SERVER_ERROR = 500


def begin(provider: str) -> None:
    """Take note that the current request is a callback of *provider*."""
    environ = request.environ
    environ[_PROVIDER], environ[_BEFORE] = provider, _user()
    make_known(method=Method.OAUTH, details={"provider": provider})


def end(response: Response) -> None:
    """Tell of the login or the failure that the callback was, if it was one and nobody else does."""
    provider = request.environ.pop(_PROVIDER, None)
    if provider is None or any(is_told(what) for what in (LOGIN, FAILURE, LOGOUT)):
        return
    before, now = request.environ[_BEFORE], _user()
    error = request.args.get("error")
    if error:
        reason = Reason.DENIED if error == "access_denied" else Reason.PROVIDER_ERROR
        tell(FAILURE, now or "", reason=reason, details={"provider": provider, "error": error})
    elif response.status_code >= _SERVER_ERROR:
        tell(FAILURE, now or "", reason=Reason.PROVIDER_ERROR)
    elif now and now != before:
        tell(LOGIN, now)
    elif not now and _knows_users():
        tell(FAILURE, "", reason=Reason.DENIED)


def _user() -> str | None:
    identify = current_context().seams.identify
    return identify(request_info.real_request()) if identify else None


def _knows_users() -> bool:
    """Tell whether it is known of a request that nobody is logged in."""
    return hasattr(current_app, "login_manager") or current_context().seams.identify is not flask_login.identify
