"""The logins of all, for auditors: a table that is filtered, with totals, and each event by itself."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from flask import Response, redirect, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from audit_service.access.viewer import owner_of_view, record_reading, viewer_for
from audit_service.context import Viewer, current_context, read_session
from audit_service.events.logins import LOGINS, LoginFilters
from audit_service.events.request_info import parse_network
from audit_service.history.cursor import Cursors, Position, arrived
from audit_service.history.query import find_event, list_events, trail_size
from audit_service.history.question import Order, Question
from audit_service.history.summary import summarise, with_span
from audit_service.history.summing import By, Summary, Summing
from audit_service.pages.around import errors_around, logins_around
from audit_service.pages.blueprint import blueprint, page
from audit_service.pages.charts import steps, times_chart
from audit_service.pages.listing import FILTER_OF, Listing
from audit_service.pages.proofs import proof_of, reach
from audit_service.pages.reading import read_filters, read_listing, read_question
from audit_service.pages.tables import as_json, list_page, table_values
from audit_service.values.typed import Nearly
from audit_service.vocabulary import Outcome
from audit_service.web import display
from audit_service.web.language import gettext

SPAN = timedelta(days=7)  # what totals and chart cover, unless the question says since when
TOP = 5
_TOPS = (By.USERNAME, By.NETWORK, By.REASON)


@blueprint.get("/logins/")
def list_logins() -> AnyResponse:
    """Show the table."""
    viewer = viewer_for(auditors_only=True)
    size = trail_size(read_session())  # before the events: what arrives meanwhile comes twice rather than never
    listing = read_listing(LOGINS, owner=owner_of_view(viewer), columns=LOGINS.columns)
    record_reading(viewer)
    summaries = {} if listing.error else _summaries(listing, viewer)
    return list_page(
        "logins.html",
        viewer,
        listing,
        summaries=summaries,
        tops=_TOPS,
        chart=url_for("audit_pages.chart_logins", **listing.question),
        live=None if listing.error or listing.previous_url else _url_of_new(listing, arrived(size)),
        filter_of=FILTER_OF,
    )


@blueprint.get("/find/")
def find() -> AnyResponse:
    """Lead to the logins from an address or network, or to those of a name: whichever ``q`` is."""
    viewer_for(auditors_only=True)
    wanted = request.args.get("q", "").strip()
    parameters: dict[str, Any] = {_field_of(wanted): wanted or None}
    return redirect(url_for("audit_pages.list_logins", **parameters), 303)


def _field_of(text: str) -> str:
    try:
        parse_network(text)
    except Nearly:
        return "remote_addr"  # whose field says which network was probably meant
    except ValueError:
        return "username"
    return "remote_addr"


@blueprint.get("/logins/new")
def new_logins() -> AnyResponse:
    """Answer with the rows of the events that have arrived since, and where to ask for those after them."""
    viewer = viewer_for(auditors_only=True)
    listing = read_question(LOGINS, owner=owner_of_view(viewer), columns=LOGINS.columns)
    if listing.error:
        raise listing.error
    record_reading(viewer)
    session, cursor, question = read_session(), listing.place.cursor, _arrivals(listing)
    cursors = Cursors(current_context().signing_key(), question)
    after = cursors.decode(cursor) if cursor else arrived(trail_size(session))
    listing.items, position = list_events(session, question, limit=listing.limit, after=after)
    next_url = _url_of_new(listing, position or after)
    return page("rows.html", viewer, listing=listing, next=next_url, **table_values())


def _arrivals(listing: Listing) -> Question:
    return Question(kind=LOGINS, filters=listing.filters, order=Order.ARRIVAL, owner=listing.owner)


def _url_of_new(listing: Listing, position: Position) -> str:
    """Return the URL of the rows that arrive after *position* and match the filters."""
    cursor = Cursors(current_context().signing_key(), _arrivals(listing)).encode(position)
    parameters = {**listing.question, "cursor": cursor}
    if "column" in listing.given:
        parameters["column"] = listing.given["column"]
    return url_for("audit_pages.new_logins", **parameters)


@blueprint.get("/logins/chart.svg")
def chart_logins() -> Response:
    """Draw successes and failures over time, by hour or by day as the span asks for."""
    viewer = viewer_for(auditors_only=True)
    return draw(with_span(read_filters(LOGINS), datetime.now(UTC), SPAN), owner_of_view(viewer))


def draw(filters: LoginFilters, owner: str | None) -> Response:
    """Return the chart of these logins."""
    now = datetime.now(UTC)
    summing = Summing(by=steps(filters, now), tz=display.zone().key)
    found = summarise(read_session(), filters, summing, owner=owner, now=now)
    return times_chart(found, (gettext("successes"), gettext("failures")))


@blueprint.get("/logins/<event_id>")
def show_login(event_id: str) -> AnyResponse:
    """Show one event, and what happened around it."""
    viewer = viewer_for(auditors_only=False)
    owner = owner_of_view(viewer)
    item = None
    with contextlib.suppress(ValueError):
        item = find_event(read_session(), LOGINS, UUID(event_id), owner=owner)
    if item is None:
        raise NotFound(gettext("there is no such event, or you may not see it"))
    record_reading(viewer)
    return page(
        "login.html",
        viewer,
        item=item,
        reach=reach(),
        proven=proof_of(item.seq),
        **table_values(),
        fields=LOGINS.item.__struct_fields__,
        around=logins_around(item, owner),
        errors=[] if owner is not None else errors_around(item),
        as_json=as_json(item),
    )


def _summaries(listing: Listing, viewer: Viewer) -> dict[By, Summary]:
    """Count what the filters match by outcome, and its failures by the fields of ``_TOPS``."""
    now, owner = datetime.now(UTC), owner_of_view(viewer)
    filters = with_span(listing.filters, now, SPAN)
    failures = msgspec.structs.replace(filters, outcome=[Outcome.FAILURE])
    found = {By.OUTCOME: summarise(read_session(), filters, Summing(by=By.OUTCOME), owner=owner, now=now)}
    if not filters.outcome or Outcome.FAILURE in filters.outcome:
        for by in _TOPS:
            found[by] = summarise(read_session(), failures, Summing(by=by, top=TOP), owner=owner, now=now)
    return found
