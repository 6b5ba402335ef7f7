"""Unhandled exceptions: the bugs, each once, with what is needed to mend it; and each time that it happened."""

import contextlib
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from flask import Response, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from audit_service.access.viewer import record_reading, viewer_for
from audit_service.context import read_session
from audit_service.events.errors import ERRORS, ErrorFilters, ErrorItem
from audit_service.history.groups import ErrorGroups, count_errors, count_users, group_errors
from audit_service.history.query import find_event
from audit_service.history.summing import Summary
from audit_service.history.times import EPOCH
from audit_service.pages.around import logins_of
from audit_service.pages.blueprint import blueprint, page
from audit_service.pages.charts import sparkline, steps, times_chart
from audit_service.pages.listing import Listing
from audit_service.pages.proofs import proof_of, reach
from audit_service.pages.reading import fill, read_filters, read_question
from audit_service.pages.tables import as_json, list_page, table_values
from audit_service.pages.tracebacks import parts_of
from audit_service.web import display
from audit_service.web.language import gettext

GROUPS = 50  # on a page
USERS = 10
_COLUMNS = ("timestamp", "username", "http_method", "path", "remote_addr", "app", "request_id")


@blueprint.get("/errors/")
def list_errors() -> AnyResponse:
    """Show the groups, those that happened last first."""
    viewer = viewer_for(auditors_only=True)
    listing = read_question(ERRORS, owner=None, size=GROUPS)
    record_reading(viewer)
    found = None if listing.error else _groups(listing)
    return list_page("errors.html", viewer, listing, found=found)


@blueprint.get("/errors/<fingerprint>")
def show_error_group(fingerprint: str) -> AnyResponse:
    """Show a group: the newest of its errors, who was logged in, and each time that it happened."""
    viewer = viewer_for(auditors_only=True)
    listing = read_question(ERRORS, owner=None, size=25, columns=_COLUMNS, fixed={"fingerprint": fingerprint})
    fill(listing)
    whole = ErrorFilters(fingerprint=[fingerprint], since=EPOCH)
    groups = group_errors(read_session(), whole, limit=1, now=datetime.now(UTC)).items
    if not groups:
        raise NotFound(gettext("there is no such error"))
    record_reading(viewer)
    return list_page(
        "error_group.html",
        viewer,
        listing,
        group=groups[0],
        parts=parts_of(groups[0].newest.traceback),
        logins=logins_of(groups[0].newest),
        users=count_users(read_session(), ErrorFilters(fingerprint=[fingerprint]), top=USERS),
        chart=url_for("audit_pages.chart_errors", **listing.question),
    )


@blueprint.get("/errors/<fingerprint>/<event_id>")
def show_error(fingerprint: str, event_id: str) -> AnyResponse:
    """Show one error with the logins that it belongs to."""
    viewer = viewer_for(auditors_only=True)
    item: ErrorItem | None = None
    with contextlib.suppress(ValueError):
        item = find_event(read_session(), ERRORS, UUID(event_id))
    if item is None or item.fingerprint != fingerprint:
        raise NotFound(gettext("there is no such error"))
    record_reading(viewer)
    return page(
        "error.html",
        viewer,
        item=item,
        reach=reach(),
        proven=proof_of(item.seq),
        fields=[name for name in ERRORS.item.__struct_fields__ if name != "traceback"],
        parts=parts_of(item.traceback),
        logins=logins_of(item),
        as_json=as_json(item),
        **table_values(),
    )


@blueprint.get("/errors/<fingerprint>/chart.svg")
def chart_errors(fingerprint: str) -> Response:
    """Draw how often it happened."""
    return times_chart(_counts(fingerprint), (gettext("others"), gettext("errors")))


@blueprint.get("/errors/<fingerprint>/sparkline.svg")
def spark_errors(fingerprint: str) -> Response:
    """Draw how often it happened, in the size of a word."""
    return sparkline(_counts(fingerprint))


def _counts(fingerprint: str) -> Summary:
    viewer_for(auditors_only=True)
    filters = msgspec.structs.replace(read_filters(ERRORS), fingerprint=[fingerprint])
    now = datetime.now(UTC)
    return count_errors(read_session(), filters, by=steps(filters, now), tz=display.zone().key, now=now)


def _groups(listing: Listing) -> ErrorGroups:
    filters = listing.filters
    assert isinstance(filters, ErrorFilters)  # noqa: S101 - for the type checker
    return group_errors(read_session(), filters, limit=listing.limit, now=datetime.now(UTC))
