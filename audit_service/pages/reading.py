"""Reading the list that a URL asks for: its question, and its events. A page can be left in both directions."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from flask import request
from werkzeug.datastructures import MultiDict

from audit_service.context import current_context, read_session
from audit_service.errors import ParameterError
from audit_service.events.base import EventFilters, Kind
from audit_service.history.cursor import Cursors, Position
from audit_service.history.parameters import parse
from audit_service.history.query import list_events
from audit_service.history.question import Order, Question
from audit_service.pages.listing import SIZE, Given, Listing, Paging, filter_names
from audit_service.values.when import parse_when
from audit_service.web import display


def read_listing(kind: Kind, *, owner: str | None, size: int = SIZE, columns: Sequence[str] = ()) -> Listing:
    """Return the page of events of that *kind* that the URL asks for; what is wrong with it is its ``error``.

    With *owner*, only events that this user may see. A page has *size* events, unless the URL says how many. *columns*
    are those that are shown unless the URL names others; without any, none can be chosen.
    """
    listing = read_question(kind, owner=owner, size=size, columns=columns)
    fill(listing)
    return listing


def read_question(
    kind: Kind,
    *,
    owner: str | None,
    size: int = SIZE,
    columns: Sequence[str] = (),
    fixed: dict[str, str] | None = None,
) -> Listing:
    """Return the list that the URL asks for, without its events. What is *fixed* is so whatever the URL says."""
    given = _given_parameters()
    listing = Listing(kind, given, kind.filters(), owner, list(columns), fixed or {}, limit=size)
    if columns:
        listing.choosable = tuple(dict.fromkeys((*columns, *kind.item.__struct_fields__)))
    try:
        listing.columns = _columns(listing)
        listing.filters, listing.place = parse(_with_times(given), kind.filters, Paging)
        fixed_lists = {name: [value] for name, value in listing.fixed.items()}
        listing.filters = msgspec.structs.replace(listing.filters, **fixed_lists)
        listing.limit = listing.place.limit or size
    except ParameterError as error:
        listing.error = error
    else:
        _shorten(given, listing, size, list(columns))
        listing.timed = _with_times(given, listing.filters)
    return listing


def fill(listing: Listing) -> None:
    """Read the events of the page, unless something is wrong with the question already."""
    if listing.error is None:
        try:
            _fill(listing)
        except ParameterError as error:  # the cursor is of another question
            listing.error = error


def read_filters(kind: Kind) -> Any:
    """Return the filters that the URL of a chart has. Raises ``ParameterError``; parameters of the list go unread."""
    given = _given_parameters()
    for name in set(given) - set(filter_names(kind)):
        given.poplist(name)
    (filters,) = parse(_with_times(given), kind.filters)
    return filters


def _given_parameters() -> Given:
    """Return the parameters of the request, without the fields of a form that were left empty."""
    return MultiDict([(name, value.strip()) for name, value in request.args.items(multi=True) if value.strip()])


def _with_times(given: Given, filters: EventFilters | None = None) -> Given:
    """Return the parameters with times where words were *given*, such as "24h", in the reader's zone.

    The times are those of *filters*, if these have been made of them already. Raises ``ParameterError`` for what is no
    time.
    """
    timed = given.copy()
    for name in ("since", "until"):
        for text in given.getlist(name)[:1]:
            try:
                known: datetime | None = getattr(filters, name, None)
                timed[name] = (known or parse_when(text, display.zone(), datetime.now(UTC))).isoformat()
            except ValueError as error:
                raise ParameterError(name, f"{name} {error}") from None
    return timed


def _columns(listing: Listing) -> list[str]:
    """Return the columns that the URL names, one by one as a form does or with commas, in the usual order."""
    wanted = {name for names in listing.given.getlist("column") for name in names.split(",")}
    if not wanted <= set(listing.choosable):
        raise ParameterError("column", f"column must be one of {', '.join(listing.choosable)}")
    return [name for name in listing.choosable if name in wanted] or listing.columns


def _shorten(given: Given, listing: Listing, size: int, columns: list[str]) -> None:
    """Leave out what a form sends although it changes nothing: every link of the page would repeat it."""
    for name, value, usual in (
        ("limit", str(listing.limit), str(size)),
        ("column", ",".join(listing.columns), ",".join(columns)),
    ):
        if given.poplist(name) and value != usual:
            given[name] = value


def _fill(listing: Listing) -> None:
    """Read the events. A page before another is read backwards from that one's first event."""
    forth = Question(kind=listing.kind, filters=listing.filters, order=Order.NEWEST, owner=listing.owner)
    back = msgspec.structs.replace(forth, order=Order.OLDEST)
    key, session = current_context().signing_key(), read_session()
    limit, place = listing.limit, listing.place
    after: Position | None
    if place.before:
        after = Cursors(key, back).decode(place.before)
        items, more = list_events(session, back, limit=limit, after=after)
        items.reverse()
        is_first, is_last = more is None, False
    else:
        after = Cursors(key, forth).decode(place.cursor) if place.cursor else None
        items, more = list_events(session, forth, limit=limit, after=after)
        is_first, is_last = after is None, more is None
    listing.items = items
    if items and not is_last:
        listing.next_url = listing.place_url(cursor=Cursors(key, forth).encode(_position(items[-1])))
    if items and not is_first:
        listing.previous_url = listing.place_url(before=Cursors(key, back).encode(_position(items[0])))


def _position(item: Any) -> Position:
    return Position(item.timestamp, item.seq)
