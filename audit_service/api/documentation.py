"""The API's description of itself: the document, a page made of it, and what each problem means. For everybody."""

import re
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import quote

import msgspec
from flask import Flask, Response, current_app, render_template, request
from markupsafe import Markup, escape
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from audit_service.api.document import document
from audit_service.api.operations import Access, Answer, blueprint, json_of, operation
from audit_service.api.views import with_etag
from audit_service.web.answers import json_answer, page
from audit_service.web.browsers import add_headers
from audit_service.web.problems import KINDS, Kind

_PUBLIC = "For everybody: it needs no authentication."
_KEPT = 8  # of each kind: where the app is mounted, and what it is called, comes from outside


@operation(
    "/openapi.json",
    "This document",
    _PUBLIC,
    answer=Answer({"application/json": dict}, "The document.", headers=("ETag",)),
    access=Access.EVERYBODY,
    others=(HTTPStatus.NOT_MODIFIED,),
)
def show_openapi() -> AnyResponse:
    """Show the OpenAPI document."""
    return with_etag(json_answer(_document(quote(request.script_root))), "no-cache")


@operation(
    "/docs",
    "This document as a page",
    _PUBLIC,
    answer=Answer({"text/html": str}, "The page.", headers=("ETag",)),
    access=Access.EVERYBODY,
    others=(HTTPStatus.NOT_MODIFIED,),
)
def show_docs() -> AnyResponse:
    """Show the document as a page, which loads nothing but its own style sheet."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - documented
    html = _as_html(app, quote(request.script_root), request.host_url)
    return with_etag(add_headers(page(html)), "no-cache")


@lru_cache(maxsize=_KEPT)
def _document(base: str) -> msgspec.Raw:
    """Making it takes longer than most answers, and everybody may ask for it."""
    return msgspec.Raw(msgspec.json.encode(document(base)))


@lru_cache(maxsize=_KEPT)
def _as_html(_app: Flask, base: str, _host_url: str) -> str:
    """An app may have a template of its own; the addresses in the page begin with the URL of the host."""
    return render_template("audit_api/docs.html", document=msgspec.json.decode(_document(base)), problems=KINDS)


@operation(
    "/problems/<name>",
    "What a kind of problem means",
    _PUBLIC,
    segments={
        "name": {
            "schema": {"type": "string", "enum": [kind.name for kind in KINDS]},
            "description": "the end of its `type`",
        }
    },
    answer=json_of(Kind),
    access=Access.EVERYBODY,
    others=(HTTPStatus.NOT_FOUND,),
)
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
