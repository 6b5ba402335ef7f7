"""Log in, log out, who am I. A view decides and sends a signal; it answers with success only once that is stored."""

from flask import Blueprint, Response, current_app, jsonify, redirect, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from audit_service.accounts import authenticate
from audit_service.context import current_context, read_session
from audit_service.errors import AuditUnavailable, ParameterError
from audit_service.login.credentials import read_credentials
from audit_service.login.sessions import (
    end_session,
    session_viewer,
    start_passwordless_session,
    start_session,
)
from audit_service.problems import from_http_exception, problem
from audit_service.receivers import stored
from audit_service.request_info import USERNAME_LIMIT
from audit_service.signals import login_failed_signal, login_signal, logout_signal
from audit_service.text import is_clean
from audit_service.vocabulary import Reason

REFUSED = "wrong username or password"

blueprint = Blueprint(
    "audit_login", __name__, template_folder="templates", static_folder="static", static_url_path="/static/audit"
)


@blueprint.get("/login/")
def login_form() -> str:
    """Show the form."""
    return _form()


@blueprint.post("/login/")
def login() -> AnyResponse:
    """Log in with a form or JSON: 200 or 303, 401 with one text for every failure, 503 if it cannot be recorded."""
    credentials = read_credentials()
    is_passwordless = current_context().settings.login == "passwordless"
    method = "passwordless" if is_passwordless else "password"
    username = credentials.username
    found = _check_name(username) if is_passwordless else authenticate(read_session(), username, credentials.password)
    if isinstance(found, Reason):
        stored(login_failed_signal.send(_app(), username=username, reason=found, method=method))
        return _refuse(401, REFUSED, username=username)
    event = stored(login_signal.send(_app(), username=username, method=method))
    if found is None:
        start_passwordless_session(username)
    else:
        start_session(found)
    if _is_browser():
        return redirect("/", 303)
    return _json({"message": "you are logged in", "username": username, "event": str(event)})


@blueprint.post("/logout/")
def logout() -> AnyResponse:
    """End the session and record it; without a session nothing is recorded."""
    viewer = session_viewer()
    event = stored(logout_signal.send(_app(), username=viewer.name)) if viewer else None
    end_session()
    if _is_browser():
        return redirect("/login/", 303)
    return _json({"message": "you are logged out", "event": str(event) if event else None})


@blueprint.get("/")
def index() -> AnyResponse | str:
    """Say who you are."""
    viewer = session_viewer()
    if _is_browser():
        return render_template("audit_service/index.html", viewer=viewer)
    return _json({"username": viewer.name, "role": viewer.role} if viewer else {"username": None, "role": None})


@blueprint.errorhandler(HTTPException)
def on_http_exception(error: HTTPException) -> AnyResponse:
    """Answer with a problem, or with the form for a browser."""
    if _is_browser() and error.response is None:
        return _refuse(error.code or 500, error.description or "")
    return from_http_exception(error)


@blueprint.errorhandler(ParameterError)
def on_parameter_error(error: ParameterError) -> AnyResponse:
    """Answer 400."""
    return _refuse(400, error.detail, parameter=error.parameter)


@blueprint.errorhandler(AuditUnavailable)
def on_audit_unavailable(error: AuditUnavailable) -> AnyResponse:
    """Answer 503: no durable record, no session."""
    current_app.logger.error("%s: %s", error, error.__cause__)
    return _refuse(503, "logging in is not possible at the moment; please try again in a minute")


def _check_name(username: str) -> Reason | None:
    """Without passwords any name will do that can be stored as it was typed."""
    return None if is_clean(username, USERNAME_LIMIT) else Reason.DENIED


def _refuse(status: int, detail: str, *, parameter: str | None = None, username: str = "") -> AnyResponse:
    if _is_browser():
        return Response(_form(detail, username), status, headers={"Cache-Control": "no-store"})
    return problem(status, detail, parameter=parameter)


def _form(message: str = "", username: str = "") -> str:
    return render_template(
        "audit_service/login.html",
        message=message,
        username=username if is_clean(username, USERNAME_LIMIT) else "",
        is_passwordless=current_context().settings.login == "passwordless",
    )


def _is_browser() -> bool:
    """Tell whether a page is wanted more than JSON; curl and most clients accept anything, and get JSON."""
    accepts = request.accept_mimetypes
    return accepts["text/html"] > accepts["application/json"]


def _json(body: dict[str, str | None]) -> Response:
    response = jsonify(body)
    response.headers["Cache-Control"] = "no-store"
    return response


def _app() -> object:
    """The app itself: receivers that are connected to it never see the ``current_app`` proxy."""
    return current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - documented for signals
