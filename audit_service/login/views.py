"""Log in, log out, who am I. A view decides and sends a signal; it answers with success only once that is stored."""

from flask import Blueprint, Flask, Response, current_app, redirect
from werkzeug.exceptions import Unauthorized
from werkzeug.wrappers import Response as AnyResponse

from audit_service.accounts import authenticate
from audit_service.answers import OUR_ERRORS, json_answer, register_errors
from audit_service.context import current_context, read_session
from audit_service.login.credentials import read_credentials
from audit_service.login.pages import error_answer, index_page, is_browser, login_page
from audit_service.login.sessions import (
    end_session,
    session_viewer,
    start_passwordless_session,
    start_session,
)
from audit_service.models import Account
from audit_service.receivers import stored
from audit_service.request_info import USERNAME_LIMIT
from audit_service.signals import login_failed_signal, login_signal, logout_signal
from audit_service.text import fit
from audit_service.vocabulary import Reason

REFUSED = "wrong username or password"

blueprint = Blueprint(
    "audit_login", __name__, template_folder="templates", static_folder="static", static_url_path="/static/audit"
)
register_errors(blueprint, error_answer, OUR_ERRORS)


@blueprint.get("/login/")
def login_form() -> Response:
    """Show the form."""
    return login_page()


@blueprint.post("/login/")
def login() -> AnyResponse:
    """Log in with a form or JSON: 200 or 303, 401 with one text for every failure, 503 if it cannot be recorded."""
    credentials = read_credentials()
    username, method = credentials.username, current_context().settings.login
    found: Account | Reason | str
    if method == "passwordless":
        found = _without_password(username)
    else:
        found = authenticate(read_session(), username, credentials.password)
    if isinstance(found, Reason):
        stored(login_failed_signal.send(_app(), username=username, reason=found, method=method))
        raise Unauthorized(REFUSED)
    event = stored(login_signal.send(_app(), username=username, method=method))
    if isinstance(found, Account):
        start_session(found)
    else:
        start_passwordless_session(found)
    if is_browser():
        return redirect("/", 303)
    return json_answer({"message": "you are logged in", "username": username, "event": event})


@blueprint.post("/logout/")
def logout() -> AnyResponse:
    """End the session and record it; without a session nothing is recorded."""
    viewer = session_viewer()
    event = stored(logout_signal.send(_app(), username=viewer.name)) if viewer else None
    end_session()
    if is_browser():
        return redirect("/login/", 303)
    return json_answer({"message": "you are logged out", "event": event})


@blueprint.get("/")
def index() -> AnyResponse:
    """Say who you are."""
    viewer = session_viewer()
    if is_browser():
        return index_page(viewer) if viewer else redirect("/login/", 303)
    return json_answer({"username": viewer and viewer.name, "role": viewer and viewer.role})


def _without_password(username: str) -> str | Reason:
    """Any name will do that can be stored as it was typed."""
    return fit(username, USERNAME_LIMIT) or Reason.DENIED


def _app() -> Flask:
    """The app itself: receivers that are connected to it never see the ``current_app`` proxy."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - documented for signals
    return app
