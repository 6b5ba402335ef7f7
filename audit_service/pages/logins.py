"""The logins of all, for auditors: a table that is filtered, with totals, and each event by itself."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from flask import Response, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from audit_service.access.viewer import owner_of_view, record_reading, viewer_for
from audit_service.context import Viewer, read_session
from audit_service.events.logins import LOGINS, LoginFilters, LoginItem
from audit_service.history.parameters import parse
from audit_service.history.query import find_event, list_events
from audit_service.history.question import Order, Question
from audit_service.history.summary import summarise
from audit_service.history.summing import By, Count, Summary, Summing
from audit_service.pages.blueprint import blueprint, page
from audit_service.pages.charts import counts_chart
from audit_service.pages.listing import Listing, filter_names, given_parameters, read_listing, with_times
from audit_service.pages.tables import list_page, table_values
from audit_service.vocabulary import Outcome
from audit_service.web import display
from audit_service.web.language import gettext

AROUND = 5  # events of each kind around one
TOP = 5
_HOURS = timedelta(days=3)  # up to this span the chart counts by hours
_TOPS = (By.USERNAME, By.NETWORK, By.REASON)


@blueprint.get("/logins/")
def list_logins() -> AnyResponse:
    """Show the table."""
    viewer = viewer_for(auditors_only=True)
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
        filter_of={By.NETWORK.value: "remote_addr"},
    )


@blueprint.get("/logins/chart.svg")
def chart_logins() -> Response:
    """Draw successes and failures over time, by hour or by day as the span asks for."""
    viewer = viewer_for(auditors_only=True)
    given = given_parameters()
    for name in set(given) - set(filter_names(LOGINS)):
        given.poplist(name)
    (filters,) = parse(with_times(given), LoginFilters)
    return draw(filters, owner_of_view(viewer))


def draw(filters: LoginFilters, owner: str | None) -> Response:
    """Return the chart of these logins."""
    now = datetime.now(UTC)
    span = (filters.until or now) - (filters.since or now - timedelta(days=30))
    by = By.HOUR if span <= _HOURS else By.DAY
    summing = Summing(by=by, tz=display.zone().key)
    found = summarise(read_session(), filters, summing, owner=owner, now=now)
    counts = _without_gaps(found)
    form = "%H:%M" if by is By.HOUR else "%m-%d"
    labels = [datetime.fromisoformat(count.key or "").strftime(form) for count in counts]
    return counts_chart(counts, labels, (gettext("successes"), gettext("failures")))


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
        **table_values(),
        fields=LOGINS.item.__struct_fields__,
        around=_around(item, owner),
        as_json=msgspec.json.format(msgspec.json.encode(item), indent=2).decode(),
    )


def _around(item: LoginItem, owner: str | None) -> list[tuple[str, str, list[LoginItem]]]:
    """Return what the events have in common with *item*, as a filter, and the nearest of them, the newest first."""
    found = []
    shared = {"username": item.username, "remote_addr": item.network or item.remote_addr, "request_id": item.request_id}
    for name, value in shared.items():
        if not value:
            continue
        near: list[LoginItem] = []
        for side, order in (("since", Order.OLDEST), ("until", Order.NEWEST)):
            given: dict[str, Any] = {name: [value], side: item.timestamp}
            question = Question(kind=LOGINS, filters=LoginFilters(**given), order=order, owner=owner)
            near += list_events(read_session(), question, limit=AROUND + 1)[0]
        others = {each.id: each for each in near if each.id != item.id}
        ordered = sorted(others.values(), key=lambda each: (each.timestamp, each.seq), reverse=True)
        found.append((name, value, ordered))
    return found


def _summaries(listing: Listing, viewer: Viewer) -> dict[By, Summary]:
    """Count what the filters match by outcome, and its failures by the fields of ``_TOPS``."""
    filters, now, owner = listing.filters, datetime.now(UTC), owner_of_view(viewer)
    assert isinstance(filters, LoginFilters)  # noqa: S101 - for the type checker
    failures = msgspec.structs.replace(filters, outcome=[Outcome.FAILURE])
    found = {By.OUTCOME: summarise(read_session(), filters, Summing(by=By.OUTCOME), owner=owner, now=now)}
    if not filters.outcome or Outcome.FAILURE in filters.outcome:
        for by in _TOPS:
            found[by] = summarise(read_session(), failures, Summing(by=by, top=TOP), owner=owner, now=now)
    return found


def _without_gaps(found: Summary) -> list[Count]:
    """Return the counts of a summary by time, with those hours or days that have none."""
    counts = {datetime.fromisoformat(count.key or ""): count for count in found.items}
    step = timedelta(hours=1) if found.by is By.HOUR else timedelta(days=1)
    begun = found.since.astimezone(display.zone())
    at = begun.replace(minute=0, second=0, microsecond=0)
    at = at if found.by is By.HOUR else at.replace(hour=0)
    whole = []
    while at < found.until:
        whole.append(counts.get(at) or Count(key=at.isoformat(), count=0, failures=0))
        at = (at.astimezone(UTC) + step).astimezone(display.zone()) if found.by is By.HOUR else at + step
    return whole
