"""Flask-Login: logins, logouts, and logins by the cookie that it calls "remember me"."""

import contextlib
from typing import Any

from flask import Flask, Request, Response, current_app, request, session
from werkzeug.exceptions import Unauthorized

from audit_service.adapters.adapter import Adapter
from audit_service.adapters.telling import LOGIN, LOGOUT, tell, withdraw
from audit_service.context import has_adapter
from audit_service.vocabulary import Method

NAME = "flask-login"


def is_set_up(app: Flask) -> bool:
    """Tell whether the app has a ``LoginManager``."""
    return hasattr(app, "login_manager")


def connect() -> None:
    """Listen to the signals of the library; it is imported already where it is set up."""
    from flask_login import signals  # noqa: PLC0415

    signals.user_logged_in.connect(on_logged_in)
    signals.user_logged_out.connect(on_logged_out)
    signals.user_loaded_from_cookie.connect(on_remembered)


def on_logged_in(sender: Flask, *, user: Any, **_more: Any) -> None:
    """Tell of a login; a login by the cookie earlier in the same request is the same one."""
    if has_adapter(sender, NAME):
        withdraw(LOGIN, name_of(user))
        tell(LOGIN, name_of(user))


def on_logged_out(sender: Flask, *, user: Any, **_more: Any) -> None:
    """Tell of a logout; Flask-Login sends it for users that were not logged in, too."""
    if has_adapter(sender, NAME) and user is not None and user.is_authenticated:
        tell(LOGOUT, name_of(user))


def on_remembered(sender: Flask, *, user: Any, **_more: Any) -> None:
    """Tell of a session that begins with the cookie."""
    if has_adapter(sender, NAME):
        tell(LOGIN, name_of(user), method=Method.REMEMBERED)


def answer_of_flask_login() -> Response | None:
    """Return what the library answers to a page's reader who has to log in, such as a redirect to the app's login view.

    None if a user is logged in, who would come back, or the app has named no login view.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - documented
    if not is_set_up(app) or request.method not in ("GET", "HEAD") or identify(request) is not None:
        return None
    with contextlib.suppress(Unauthorized):  # what it raises without a login view
        return app.make_response(app.login_manager.unauthorized())  # type: ignore[attr-defined]
    return None


def identify(_request: Request) -> str | None:
    """Return the name of the user who is logged in, None if there is none.

    When the app cannot load the user, because of the very error that is to be recorded, this is the id in the session.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - documented
    if not is_set_up(app):
        return None
    from flask_login import current_user  # noqa: PLC0415

    try:
        return name_of(current_user) if current_user.is_authenticated else None
    except Exception:  # noqa: BLE001 - the app's own code
        return session.get("_user_id")


def name_of(user: Any) -> str:
    """Return the name that the events of a *user* have: its ``username``, else its ``email``, else its id."""
    for attribute in ("username", "email"):
        name = getattr(user, attribute, None)
        if isinstance(name, str) and name:
            return name
    return str(user.get_id())


ADAPTER = Adapter(NAME, is_set_up, connect)
