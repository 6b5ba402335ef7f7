"""The API's description of itself: the document, a page made of it, and what each problem means. For everybody."""

import re
from urllib.parse import quote

from flask import Response, render_template, request
from markupsafe import Markup, escape
from werkzeug.exceptions import NotFound

from audit_service.answers import json_answer, page
from audit_service.api.document import document
from audit_service.api.views import blueprint
from audit_service.browsers import add_headers
from audit_service.problems import KINDS


@blueprint.get("/openapi.json")
def show_openapi() -> Response:
    """Show the OpenAPI document."""
    return json_answer(document(quote(request.script_root)))


@blueprint.get("/docs")
def show_docs() -> Response:
    """Show the document as a page, which loads nothing but its own style sheet."""
    html = render_template("audit_api/docs.html", document=document(quote(request.script_root)), problems=KINDS)
    return add_headers(page(html))


@blueprint.get("/problems/<name>")
def show_problem(name: str) -> Response:
    """Show what a kind of problem means."""
    for kind in KINDS:
        if kind.name == name:
            return json_answer(kind)
    raise NotFound("there is no such kind of problem: /api/docs names all")


@blueprint.app_template_filter("audit_api_code")
def code(text: str) -> Markup:
    """Return *text* as HTML, with what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before
