"""Pages for browsers, where other clients get JSON."""

from flask import Response, render_template, request
from flask.globals import request_ctx
from werkzeug.exceptions import HTTPException

from audit_service.context import Viewer, current_context
from audit_service.login.sessions import session_account
from audit_service.values import limits
from audit_service.values.text import fit
from audit_service.web.answers import describe_and_log, html_answer, problem


def is_browser() -> bool:
    """Tell whether a page is wanted more than JSON; curl and most clients accept anything, and get JSON."""
    accepts = request.accept_mimetypes
    return accepts["text/html"] > accepts["application/json"]


def index_page(viewer: Viewer) -> Response:
    """Show the name and the role of the account that is logged in."""
    has_password = session_account() is not None
    return html_answer(render_template("audit_service/index.html", viewer=viewer, has_password=has_password))


def login_page(message: str = "", status: int = 200, error: Exception | None = None) -> Response:
    """Show the login form; *message* says what was wrong with the last attempt, whose username stays."""
    username = request.form.get("username", "") if status in (401, 429) else ""  # then the body was sound
    html = render_template(
        "audit_service/login.html",
        message=message,
        username=fit(username, limits.USERNAME) or "",
        next=request.args.get("next", ""),
        is_passwordless=current_context().settings.login == "passwordless",
    )
    return html_answer(html, status, error)


def password_page(username: str, message: str = "", status: int = 200, error: Exception | None = None) -> Response:
    """Show the form that changes one's own password."""
    html = render_template(
        "audit_service/password.html",
        username=username,
        message=message,
        minimum=limits.PASSWORD_MIN,
        maximum=limits.PASSWORD_MAX,
    )
    return html_answer(html, status, error)


def error_answer(error: Exception) -> Response:
    """Answer any error: a problem, or for a browser a page."""
    if isinstance(error, HTTPException) and isinstance(error.response, Response):
        return error.response
    has_links = request_ctx.url_adapter is not None  # else the Host header is none that links could be made with
    if not is_browser() or not has_links or request.path.startswith("/api/"):
        return problem(error)
    status, detail = describe_and_log(error)
    if request.endpoint == "audit_login.login":
        return login_page(detail, status, error)
    account = session_account() if request.endpoint == "audit_login.change_password" and status < 500 else None  # noqa: PLR2004
    if account:
        return password_page(account.username, detail, status, error)
    return html_answer(render_template("audit_service/error.html", status=status, detail=detail), status, error)
