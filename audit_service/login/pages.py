"""Pages for browsers, where other clients get JSON."""

import contextlib

from flask import request
from flask.globals import request_ctx
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from audit_service.context import Viewer, current_context
from audit_service.login.sessions import session_account, session_viewer
from audit_service.storage.outages import DATABASE_ERRORS
from audit_service.values import limits
from audit_service.values.text import fit
from audit_service.web.answers import describe_and_log, html_answer, is_of_client, prefers_html, problem
from audit_service.web.frame import error_page, render


def login_page(message: str = "", status: int = 200, error: Exception | None = None) -> AnyResponse:
    """Show the login form; *message* says what was wrong with the last attempt, whose username stays."""
    username = request.form.get("username", "") if status in (401, 429) else ""  # then the body was sound
    html = render(
        "audit_login/login.html",
        message=message,
        username=fit(username, limits.USERNAME) or "",
        next=request.args.get("next", ""),
        is_passwordless=current_context().settings.login == "passwordless",
        viewer=None,
    )
    return html_answer(html, status, error)


def password_page(viewer: Viewer, message: str = "", status: int = 200, error: Exception | None = None) -> AnyResponse:
    """Show the form that changes one's own password."""
    html = render(
        "audit_login/password.html",
        viewer=viewer,
        message=message,
        minimum=limits.PASSWORD_MIN,
        maximum=limits.PASSWORD_MAX,
    )
    return html_answer(html, status, error)


def error_answer(error: Exception) -> AnyResponse:
    """Answer any error: a problem, or for a browser a page."""
    if isinstance(error, HTTPException) and isinstance(error.response, AnyResponse):
        return error.response
    has_links = request_ctx.url_adapter is not None  # else the Host header is none that links could be made with
    if not prefers_html() or not has_links or request.path.startswith("/api/"):
        return problem(error)
    if request.endpoint == "audit_login.login":
        status, detail = describe_and_log(error)
        return login_page(detail, status, error)
    viewer = _known_viewer() if is_of_client(error) else None
    if viewer and request.endpoint == "audit_login.change_password" and session_account():
        status, detail = describe_and_log(error)
        return password_page(viewer, detail, status, error)
    return error_page(error, viewer)


def _known_viewer() -> Viewer | None:
    with contextlib.suppress(*DATABASE_ERRORS):
        return session_viewer()
    return None
