"""The frame of all pages: its template, language, theme, style sheet, and the page of an error."""

from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import flask_bootstrap
from flask import (
    Response,
    current_app,
    make_response,
    redirect,
    render_template,
    request,
    send_from_directory,
    url_for,
)
from jinja2 import Environment
from markupsafe import Markup
from werkzeug.exceptions import BadRequest, Unauthorized
from werkzeug.urls import iri_to_uri
from werkzeug.wrappers import Response as AnyResponse

from audit_service.errors import NotConfiguredError
from audit_service.events import request_info
from audit_service.values.paths import own_path
from audit_service.web import display
from audit_service.web.answers import describe_and_log, html_answer
from audit_service.web.browsers import add_headers, forbid_other_sites
from audit_service.web.language import COOKIE, LANGUAGES, gettext, language, later, ngettext
from audit_service.web.routes import PlainBlueprint

_ENVIRONMENT = "audit_environment"
FRAME = "audit_frame"  # where an app keeps the name of its own base template
_OWN_FRAME = "audit_web/base.html"
THEME_COOKIE = "audit_theme"
THEMES = ("auto", "light", "dark")
MEANINGS = {
    400: later("this request cannot be understood"),
    401: later("you have to log in as somebody who may see this"),
    403: later("you may not see or do this"),
    404: later("there is nothing at this address"),
    405: later("this address takes requests of other kinds"),
    413: later("this is more than is taken at once"),
    429: later("there were too many attempts"),
    500: later("this is a fault of ours, and it is recorded"),
    503: later("this cannot be answered at the moment"),
}
ADVICE = {
    400: later("Go back, and change what you asked for."),
    403: later("If you need it, ask an admin for a role that may."),
    404: later("The address may be mistyped, or what was there may be for others to see."),
    405: later("Follow a link or send a form instead of typing this address."),
    500: later("Trying again will hardly help before it is mended."),
}
_YEAR = 365 * 86_400  # seconds
_BOOTSTRAP = Path(flask_bootstrap.__file__).parent / "static" / "bootstrap5"

blueprint = PlainBlueprint(
    "audit_web", __name__, template_folder="templates", static_folder="static", static_url_path="/static/audit"
)
blueprint.before_request(forbid_other_sites)
blueprint.after_request(add_headers)


@blueprint.get("/static/bootstrap.css")
def bootstrap() -> Response:
    """Answer with Bootstrap's style sheet, as Bootstrap-Flask brings it."""
    return send_from_directory(_BOOTSTRAP, "css/bootstrap.min.css", max_age=86_400)


@blueprint.post("/preferences/")
def set_preferences() -> AnyResponse:
    """Remember a language or a theme in a cookie, and go back to the page; 400 for one that there is not."""
    answer = make_response(redirect(own_path(request.form.get("next", "")), 303))
    for field, cookie, known in (("language", COOKIE, LANGUAGES), ("theme", THEME_COOKIE, THEMES)):
        if (chosen := request.form.get(field)) is not None:
            if chosen not in known:
                raise BadRequest(f"{field} must be one of {', '.join(known)}")
            answer.set_cookie(
                cookie, chosen, max_age=_YEAR, secure=request.is_secure, httponly=True, samesite="Lax", path="/"
            )
    return answer


def render(template: str, **values: Any) -> str:
    """Return the page that *template* makes of *values*, in the frame of the app if it has named one."""
    own = current_app.extensions.get(FRAME)
    context: dict[str, Any] = {
        "request": request,
        "_": gettext,
        "ngettext": ngettext,
        "language": language(),
        "languages": LANGUAGES,
        "theme": theme(),
        "exact": display.exact,
        "number": display.number,
        "relative": display.relative,
        "when": display.when,
        "zone": display.zone().key,
        "has": current_app.view_functions.__contains__,
        "here": here(),
        "frame": "audit_web/embedded.html" if own else _OWN_FRAME,
        "embed": partial(_embed, own) if own else None,
    }
    return _environment().get_template(template).render({**context, **values})


def _embed(own: str, title: Markup, main: Markup) -> Markup:
    """Return *main* in the app's template *own*, which is rendered as the app renders it: with its names, not ours.

    Raises ``NotConfiguredError`` if the template does not show it.
    """
    shown = []

    def show() -> Markup:
        shown.append(main)
        return main

    html = render_template("audit_web/in_frame.html", audit_frame=own, audit_title=title, audit_main=show)
    if not shown:
        raise NotConfiguredError(f"the template {own!r}, which is the frame of the pages, shows no block 'main'")
    return Markup(html)  # noqa: S704 - the app's own template


def _environment() -> Environment:
    """Return the app's Jinja environment, with text escaped whatever the app has set for its own templates.

    It is made once: each has templates of its own, and to compile them takes ten times as long as a page.
    """
    if _ENVIRONMENT not in current_app.extensions:
        own = current_app.jinja_env.overlay(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        current_app.extensions[_ENVIRONMENT] = own
    environment: Environment = current_app.extensions[_ENVIRONMENT]
    return environment


def here() -> str:
    """Return the path and the query of the current request, as a URL has them.

    Of the query of a form that was sent only ``next`` is part of it: the rest may be what nobody should see.
    """
    if request.method in ("GET", "HEAD"):
        return iri_to_uri(request.script_root + request.full_path.removesuffix("?"))
    query = urlencode({"next": request.args["next"]}) if "next" in request.args else ""
    return iri_to_uri(request.script_root + request.path) + (f"?{query}" if query else "")


def theme() -> str:
    """Return the theme that was chosen; "auto" is the system's."""
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else "auto"


def error_page(error: Exception, viewer: object = None) -> AnyResponse:
    """Answer with the page of *error*, or send a reader who has to log in to the login form.

    A *viewer* who is known finds the way to other pages.
    """
    can_log_in = request.method in ("GET", "HEAD") and "audit_login.login_form" in current_app.view_functions
    if isinstance(error, Unauthorized) and can_log_in:
        back = here()
        return redirect(url_for("audit_login.login_form", next=back if back != "/" else None), 303)
    status, detail = describe_and_log(error)
    # Werkzeug's own, which tells of URLs and servers; and ours, which tells programs how to send a token
    is_usual = detail == getattr(type(error), "description", None) or status == HTTPStatus.UNAUTHORIZED
    is_ours = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    html = render(
        "audit_web/error.html",
        status=status,
        detail=gettext(MEANINGS[status] if is_usual and status in MEANINGS else detail),
        advice=gettext(ADVICE[status]) if status in ADVICE else "",
        retry_after=_seconds(getattr(error, "retry_after", None)),
        request_id=request_info.client().request_id if is_ours else None,
        viewer=viewer,
        **({"frame": _OWN_FRAME, "embed": None} if is_ours else {}),  # the app's may be what has failed
    )
    return html_answer(html, status, error)


def _seconds(after: datetime | int | None) -> int | None:
    """Return how many seconds a client is to wait, as the exceptions of Werkzeug say it."""
    return max(0, round((after - datetime.now(UTC)).total_seconds())) if isinstance(after, datetime) else after
