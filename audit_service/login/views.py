"""Log in, log out, change the password. A view sends a signal, and answers with success once that is stored."""

from flask import Flask, Response, current_app, redirect, request, url_for
from werkzeug.exceptions import Unauthorized
from werkzeug.wrappers import Response as AnyResponse

from audit_service.access.accounts import replace_password
from audit_service.access.viewer import presented_token, require_token
from audit_service.context import Viewer, current_context, write_session
from audit_service.errors import AccountError, ParameterError
from audit_service.events.usernames import is_reserved
from audit_service.login.attempts import WRONG_CREDENTIALS, authenticate
from audit_service.login.credentials import read_texts
from audit_service.login.pages import error_answer, login_page, password_page
from audit_service.login.reports import read_reports, record_reports
from audit_service.login.sessions import (
    end_session,
    is_session_of,
    session_account,
    session_viewer,
    start_passwordless_session,
    start_session,
)
from audit_service.receivers import stored
from audit_service.signals import login_failed_signal, login_signal, logout_signal
from audit_service.values import limits
from audit_service.values.paths import own_path
from audit_service.values.text import fit
from audit_service.vocabulary import Reason, Role, Scope
from audit_service.web.answers import OUR_ERRORS, json_answer, prefers_html, register_errors
from audit_service.web.language import gettext
from audit_service.web.routes import PlainBlueprint

blueprint = PlainBlueprint("audit_login", __name__, template_folder="templates")
register_errors(blueprint, error_answer, OUR_ERRORS)


@blueprint.get("/login/")
def login_form() -> AnyResponse:
    """Show the form."""
    return login_page()


@blueprint.post("/login/")
def login() -> AnyResponse:
    """Log in with a form or JSON: 200 or 303, 401 with one text for every failure, 429, 503 if it cannot be recorded.

    With a token of the scope ``report`` it begins no session: it records logins that another app has checked.
    """
    if presented_token() is not None:
        return report()
    username, password = read_texts("username", "password")
    username, method = username.strip(" "), current_context().settings.login
    if not username.strip():
        raise ParameterError("username", gettext("please enter a username"))
    if method == "passwordless":
        name = fit(username, limits.USERNAME)
        if not name or is_reserved(name):
            stored(login_failed_signal.send(_app(), username=username, reason=Reason.DENIED, method=method))
            raise Unauthorized(gettext(WRONG_CREDENTIALS))
        event = stored(login_signal.send(_app(), username=username, method=method))
        start_passwordless_session(name)
    else:
        account = authenticate(username, password)
        username = account.username
        event = stored(login_signal.send(_app(), username=username, method=method))
        start_session(account)
    if prefers_html():
        return redirect(own_path(request.args.get("next", "")), 303)
    return json_answer({"message": gettext("you are logged in"), "username": username, "event": event})


def report() -> Response:
    """Record logins that another app has checked; the answer lists their ids, in their order."""
    events = read_reports(require_token(Scope.REPORT))
    record_reports(events)
    return json_answer({"message": "recorded", "events": [event.id for event in events]})


@blueprint.post("/logout/")
def logout() -> AnyResponse:
    """End the session and record it; without a session nothing is recorded."""
    viewer = session_viewer()
    event = stored(logout_signal.send(_app(), username=viewer.name)) if viewer else None
    end_session()
    if prefers_html():
        return redirect("/login/", 303)
    return json_answer({"message": gettext("you are logged out"), "event": event})


@blueprint.get("/account/password/")
def password_form() -> AnyResponse:
    """Show the form that changes one's own password."""
    account = session_account()
    if account is None:
        return redirect(url_for("audit_login.login_form", next=request.path), 303)
    return password_page(Viewer(account.username, Role(account.role)))


@blueprint.post("/account/password/")
def change_password() -> AnyResponse:
    """Change one's own password: 200 or 303; it ends all other sessions. A wrong current one is a failed login.

    If another change of the account ends this session meanwhile, that change stands, and the answer is 401.
    """
    account = session_account()
    if account is None:
        raise Unauthorized("log in at /login/ first: this needs the session of an account")
    current, new = read_texts("current_password", "new_password")
    checked = authenticate(account.username, current)
    by = current_context().actor(checked.username)
    try:
        with write_session() as database:
            account = replace_password(database, checked, new, by=by) if is_session_of(checked) else None
            if account is None:
                raise Unauthorized("this account was changed in the meantime: log in at /login/ again")
            database.expunge(account)
    except AccountError as error:
        raise ParameterError("new_password", str(error)) from None
    start_session(account)
    if prefers_html():
        return redirect("/", 303)
    return json_answer({"message": gettext("your password is changed; all your other sessions are ended")})


def _app() -> Flask:
    """The app itself: receivers that are connected to it never see the ``current_app`` proxy."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - documented for signals
    return app
