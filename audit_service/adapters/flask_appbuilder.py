"""Flask-AppBuilder: its login views for each ``AUTH_TYPE``, and the login of its API."""

from typing import Any

from flask import Flask, Response, current_app, request

from audit_service.adapters.adapter import Adapter
from audit_service.adapters.flask_login import NAME as FLASK_LOGIN
from audit_service.adapters.flask_login import identify, name_of
from audit_service.adapters.telling import FAILURE, LOGIN, is_told, set_defaults, tell, typed
from audit_service.events import request_info
from audit_service.values import limits
from audit_service.values.text import clean
from audit_service.vocabulary import Method, Reason

NAME = "flask-appbuilder"
_API = "SecurityApi.login"
_DATABASE, _LDAP, _REMOTE_USER, _OAUTH, _SAML = range(1, 6)  # its AUTH_DB … AUTH_SAML
_METHODS = {
    _DATABASE: Method.PASSWORD,
    _LDAP: "ldap",
    _REMOTE_USER: "remote_user",
    _OAUTH: Method.OAUTH,
    _SAML: "saml",
}
_OK, _BAD_REQUEST, _TOO_MANY, _SERVER_ERROR = 200, 400, 429, 500


def is_set_up(app: Flask) -> bool:
    """Tell whether the app has an ``AppBuilder``."""
    return "appbuilder" in app.extensions


def at_start() -> None:
    """Take note of a request for a view that logs in."""
    manager = _manager()
    if _is_login(manager):
        method = _METHODS.get(manager.auth_type)
        provider = (request.view_args or {}).get("provider")
        details = {"details": {"provider": clean(provider, limits.UNKNOWN_REASON)}} if provider else {}
        set_defaults(method=method, **details)


def at_end(response: Response) -> None:
    """Tell of the login of an API client, and of a login that has failed."""
    manager = _manager()
    if not _is_login(manager) or is_told(LOGIN) or is_told(FAILURE):
        return
    name = typed("username") or request.environ.get(manager.auth_remote_user_env_var, "")
    if request.endpoint == _API:
        if response.status_code == _OK:
            tell(LOGIN, name_of(manager.find_user(username=name) or name), method="jwt")
        elif response.status_code != _BAD_REQUEST:
            tell(FAILURE, name, reason=_reason(manager, name, response), method="jwt")
    elif not identify(request_info.real_request()) and (name or _is_callback(manager)):
        tell(FAILURE, name, reason=_reason(manager, name, response))


def _manager() -> Any:
    return current_app.extensions["appbuilder"].sm


def _is_login(manager: Any) -> bool:
    """Tell whether the current request is one that ends in a login or a failure."""
    if request.endpoint == _API:
        return True
    view = manager.auth_view.endpoint
    if manager.auth_type in (_DATABASE, _LDAP):
        return request.method == "POST" and request.endpoint == f"{view}.login"
    if manager.auth_type == _REMOTE_USER:
        return request.endpoint == f"{view}.login"
    return _is_callback(manager)


def _is_callback(manager: Any) -> bool:
    view = manager.auth_view.endpoint
    return request.endpoint in (f"{view}.oauth_authorized", f"{view}.acs")


def _reason(manager: Any, name: str, response: Response) -> Reason:
    """Return why a login failed; the provider of another ``AUTH_TYPE`` than the database does not tell."""
    if response.status_code >= _SERVER_ERROR:
        return Reason.PROVIDER_ERROR
    if response.status_code == _TOO_MANY:
        return Reason.THROTTLED
    user = manager.find_user(username=name) if name else None
    if user is not None and not user.is_active:
        return Reason.INACTIVE
    if manager.auth_type != _DATABASE:
        return Reason.DENIED
    return Reason.UNKNOWN_USER if user is None else Reason.BAD_PASSWORD


ADAPTER = Adapter(NAME, is_set_up, at_start=at_start, at_end=at_end, needs=(FLASK_LOGIN,))
