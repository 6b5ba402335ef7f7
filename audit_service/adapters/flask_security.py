"""Flask-Security: how its logins were made, its failed logins, and changes of passwords.

Since release 5.8 its signals tell of a wrong password or code, but not of unknown names or inactive accounts. So a POST
to one of its login views after which no user is logged in is a failure; the adapter looks the user up for the reason.
"""

import getpass
from typing import Any

from flask import Flask, Response, current_app, has_request_context, request, session

from audit_service.adapters.adapter import Adapter
from audit_service.adapters.flask_login import NAME as FLASK_LOGIN
from audit_service.adapters.flask_login import identify, name_of
from audit_service.adapters.telling import FAILURE, LOGIN, is_told, set_defaults, tell, typed, withdraw
from audit_service.context import context_of, has_adapter
from audit_service.events import request_info
from audit_service.vocabulary import AdminAction, Reason

NAME = "flask-security"
_FIRST = {"login": "password", "us_signin": "passcode"}
_SECOND = {"two_factor_token_validation": "two_factor", "mf_recovery": "recovery_code"}
_AWAITED = "tf_user_id"  # the key in the session of a user whose second factor is awaited
_SERVER_ERROR = 500
_FAILED = {"password": Reason.BAD_PASSWORD, "passcode": Reason.BAD_PASSWORD}


def is_set_up(app: Flask) -> bool:
    """Tell whether the app has a ``Security``."""
    return "security" in app.extensions


def connect() -> None:
    """Listen to the signals of the library."""
    from flask_security import signals  # noqa: PLC0415

    signals.user_authenticated.connect(on_authenticated)
    if _has_failed_signal():
        signals.user_failed_authn.connect(on_failed)
    signals.password_changed.connect(on_password_changed)
    signals.password_reset.connect(on_password_reset)


def on_authenticated(sender: Flask, *, user: Any, authn_via: list[str] | None = None, **_more: Any) -> None:
    """Tell how a login was made. The library also logs in after a change of the password: that is not recorded."""
    if not has_adapter(sender, NAME):
        return
    if authn_via == ["change"]:
        withdraw(LOGIN, name_of(user))
    else:
        tell(LOGIN, name_of(user), **({"method": "+".join(authn_via)} if authn_via else {}))


def on_failed(sender: Flask, *, user: Any, auth_type: str, tfa: bool = False, **_more: Any) -> None:
    """Tell of a wrong password or code of a known user."""
    if has_adapter(sender, NAME):
        reason = Reason.BAD_OTP if tfa else _FAILED.get(auth_type, Reason.OTHER)
        tell(FAILURE, name_of(user), reason=reason, method=_SECOND.get(_view(), auth_type))


def on_password_changed(sender: Flask, *, user: Any, **_more: Any) -> None:
    """Record a change of a password; its actor makes the request, or runs the command."""
    _record_change(sender, user, _actor(), {"how": "changed"})


def on_password_reset(sender: Flask, *, user: Any, **_more: Any) -> None:
    """Record a reset of a password; its actor is the user, to whose address the link was mailed."""
    _record_change(sender, user, name_of(user), {"how": "reset"})


def at_start() -> None:
    """Take note of a second factor: the signal of its login does not say how it was made."""
    if (view := _view()) in _SECOND:
        set_defaults(method=_SECOND[view])


def at_end(response: Response) -> None:
    """Tell of a failed login that has no signal."""
    view = _view()
    if request.method != "POST" or not (view in _FIRST or view in _SECOND):
        return
    if is_told(LOGIN) or is_told(FAILURE) or identify(request_info.real_request()):
        return
    if view in _SECOND:
        if _AWAITED in session:
            _tell_of_second_factor(response)
    elif _AWAITED not in session and (name := typed("identity", "email", "username")):
        user, reason = (None, Reason.PROVIDER_ERROR) if response.status_code >= _SERVER_ERROR else _reason(name)
        tell(FAILURE, name_of(user) if user else name, reason=reason, method=_FIRST[view])


def _tell_of_second_factor(response: Response) -> None:
    found = current_app.extensions["security"].datastore.find_user(fs_uniquifier=session[_AWAITED])
    reason = Reason.PROVIDER_ERROR if response.status_code >= _SERVER_ERROR else Reason.BAD_OTP
    tell(FAILURE, name_of(found), reason=reason)


def _view() -> str:
    """Return which of the library's views the current request is for, "" if for another."""
    endpoint = request.endpoint if has_request_context() else None
    blueprint, _, view = (endpoint or "").rpartition(".")
    return view if blueprint == current_app.config["SECURITY_BLUEPRINT_NAME"] else ""


def _reason(name: str) -> tuple[Any, Reason]:
    """Return the user that goes by *name*, and why the login failed though no signal says so."""
    from flask_security import lookup_identity  # noqa: PLC0415

    user = lookup_identity(name)
    if user is None:
        return None, Reason.UNKNOWN_USER
    if not user.is_active:
        return user, Reason.INACTIVE
    return user, Reason.DENIED if _has_failed_signal() else Reason.BAD_PASSWORD


def _has_failed_signal() -> bool:
    from flask_security import signals  # noqa: PLC0415

    return hasattr(signals, "user_failed_authn")  # since 5.8


def _actor() -> str | None:
    """Return the user of the current request; outside of a request, the one that runs the command."""
    return identify(request_info.real_request()) if has_request_context() else f"cli:{getpass.getuser()}"


def _record_change(app: Flask, user: Any, actor: str | None, details: dict[str, str]) -> None:
    if has_adapter(app, NAME):
        audit = context_of(app)
        name = name_of(user)
        audit.record_of_app(audit.actor(actor or name).did(AdminAction.PASSWORD_CHANGED, name, details))


ADAPTER = Adapter(NAME, is_set_up, connect, at_start, at_end, needs=(FLASK_LOGIN,))
