"""The blueprint of the pages, and what they have in common: who is looking, and the frame."""

import contextlib
from typing import Any

from flask import Blueprint
from werkzeug.exceptions import HTTPException, Unauthorized
from werkzeug.wrappers import Response as AnyResponse

from audit_service.access.viewer import current_viewer
from audit_service.adapters.flask_login import answer_of_flask_login
from audit_service.context import Viewer
from audit_service.storage.outages import DATABASE_ERRORS
from audit_service.web.answers import OUR_ERRORS, html_answer, is_of_client, prefers_html, problem, register_errors
from audit_service.web.browsers import add_headers, forbid_other_sites
from audit_service.web.frame import error_page, render
from audit_service.web.routes import PlainBlueprint

blueprint: Blueprint = PlainBlueprint("audit_pages", __name__, template_folder="templates")
blueprint.before_request(forbid_other_sites)
blueprint.after_request(add_headers)


def page(template: str, viewer: Viewer, status: int = 200, **values: Any) -> AnyResponse:
    """Answer with the page that *template* makes of *values*, for that *viewer*."""
    return html_answer(render(f"audit_pages/{template}", viewer=viewer, **values), status)


def _answer(error: Exception) -> AnyResponse:
    if isinstance(error, HTTPException) and isinstance(error.response, AnyResponse):
        return error.response
    if not prefers_html():
        return problem(error)
    to_login = answer_of_flask_login() if isinstance(error, Unauthorized) else None
    return to_login or error_page(error, _known_viewer(error))


def _known_viewer(error: Exception) -> Viewer | None:
    """Return who met *error*, unless it is a fault of ours, of which the database may be the cause."""
    if is_of_client(error):
        with contextlib.suppress(HTTPException, *DATABASE_ERRORS):
            return current_viewer()
    return None


register_errors(blueprint, _answer, OUR_ERRORS)
