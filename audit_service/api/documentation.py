"""The API's description of itself, without authentication: the document, a page made of it, and the problem types."""

import re
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import quote

import msgspec
from flask import Flask, Response, current_app, render_template, request, url_for
from markupsafe import Markup, escape
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from audit_service.api.answers import readable_answer
from audit_service.api.document import document
from audit_service.api.operations import Access, Answer, blueprint, json_of, log_blueprint, operation
from audit_service.api.views import with_etag
from audit_service.web.answers import html_answer
from audit_service.web.browsers import add_headers
from audit_service.web.problems import PROBLEM_TYPES, ProblemType

_PUBLIC = "It needs no authentication."
_KEPT = 8  # documents, and pages: clients choose the host name, and proxies the mount path, that they are made for


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
    return with_etag(readable_answer(_document(quote(request.script_root), *_prefixes())), "no-cache")


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
    html = _as_html(app, quote(request.script_root), _prefixes(), request.host_url)
    return with_etag(add_headers(html_answer(html)), "no-cache")


def _prefixes() -> tuple[str, str]:
    """Return where the API is in the app, and where the files of the log are."""
    root = quote(request.script_root)
    log = url_for(f"{log_blueprint.name}.show_checkpoint").removeprefix(root).removesuffix("/checkpoint")
    return url_for(".show_docs").removeprefix(root).removesuffix("/docs"), log


@lru_cache(maxsize=_KEPT)
def _document(base: str, prefix: str, log_prefix: str) -> msgspec.Raw:
    """Return the document as JSON. It is kept: making it takes longer than most answers, and needs no token."""
    return msgspec.Raw(msgspec.json.encode(document(base, prefix, log_prefix)))


@lru_cache(maxsize=_KEPT)
def _as_html(_app: Flask, base: str, prefixes: tuple[str, str], _host_url: str) -> str:
    """Return the page. It is kept for each app, which may have its own template, and for each address in its links."""
    return render_template(
        "audit_api/docs.html", document=msgspec.json.decode(_document(base, *prefixes)), problem_types=PROBLEM_TYPES
    )


@operation(
    "/problems/<name>",
    "What a problem type means",
    _PUBLIC,
    segments={
        "name": {
            "schema": {"type": "string", "enum": [known.name for known in PROBLEM_TYPES]},
            "description": "the end of its `type`",
        }
    },
    answer=json_of(ProblemType),
    access=Access.EVERYBODY,
    others=(HTTPStatus.NOT_FOUND,),
)
def show_problem(name: str) -> Response:
    """Show what a problem type means."""
    for known in PROBLEM_TYPES:
        if known.name == name:
            return readable_answer(known)
    raise NotFound(f"there is no such problem type: {url_for('.show_docs')} names all")


@blueprint.app_template_filter("audit_api_code")
def code(text: str) -> Markup:
    """Return *text* as HTML, with what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before
