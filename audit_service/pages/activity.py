"""One's own logins: what is unusual about each, and a chart of 30 days."""

from datetime import UTC, datetime, timedelta

from flask import Response
from werkzeug.exceptions import Unauthorized
from werkzeug.wrappers import Response as AnyResponse

from audit_service.access.viewer import current_viewer
from audit_service.context import Viewer, current_context, read_session
from audit_service.events.logins import LOGINS, LoginFilters
from audit_service.pages.blueprint import blueprint, page
from audit_service.pages.logins import draw
from audit_service.pages.reading import read_listing
from audit_service.pages.tables import table_values
from audit_service.pages.unusual import remarks
from audit_service.values import limits
from audit_service.values.text import clean
from audit_service.web.answers import json_answer, prefers_html

SPAN = timedelta(days=30)


@blueprint.get("/")
def activity() -> AnyResponse:
    """Show the viewer's own logins; a client that wants no page is told who it is."""
    if not prefers_html():
        return _whoami()
    viewer = current_viewer()
    listing = read_listing(LOGINS, owner=_name(viewer), size=25)
    return page(
        "activity.html",
        viewer,
        listing=listing,
        remarks=remarks(read_session(), _name(viewer), listing.items),
        **table_values(),
        has_password=current_context().settings.login != "passwordless",
        days=SPAN.days,
    )


@blueprint.get("/chart.svg")
def chart_activity() -> Response:
    """Draw the viewer's own successes and failures."""
    viewer = current_viewer()
    since = datetime.now(UTC) - SPAN
    return draw(LoginFilters(since=since), _name(viewer))


def _whoami() -> Response:
    try:
        viewer: Viewer | None = current_viewer()
    except Unauthorized:
        viewer = None
    return json_answer({"username": viewer and viewer.name, "role": viewer and viewer.role})


def _name(viewer: Viewer) -> str:
    return clean(viewer.name, limits.USERNAME)
