"""A list of events as a page: the whole question is in its URL, a page can be left in both directions."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from flask import request
from msgspec import Meta
from werkzeug.datastructures import MultiDict
from werkzeug.urls import iri_to_uri

from audit_service.context import current_context, read_session
from audit_service.errors import ParameterError
from audit_service.events.base import EventFilters, Kind
from audit_service.history.cursor import Cursors, Position
from audit_service.history.parameters import Cursor, parse
from audit_service.history.query import list_events
from audit_service.history.question import Order, Question
from audit_service.values import limits
from audit_service.values.when import parse_when
from audit_service.web import display

SIZES = (25, 50, 100, 250)
PLACES = ("cursor", "before")  # parameters that say which page it is


class Paging(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of the list is wanted, how long (0: as the page has it), and which columns of it."""

    limit: Annotated[int, Meta(ge=1, le=limits.EVENTS, title=f"a number from 1 to {limits.EVENTS}")] = 0
    cursor: Cursor | None = None
    before: Cursor | None = None
    column: list[Annotated[str, Meta(max_length=limits.USERNAME, title="the name of a column")]] = []


@dataclass
class Listing:
    """What a page of a list shows."""

    kind: Kind
    given: MultiDict[str, str]
    filters: EventFilters
    columns: list[str]
    limit: int
    items: list[Any] = field(default_factory=list)
    next_url: str | None = None
    previous_url: str | None = None
    error: ParameterError | None = None

    @property
    def active(self) -> list[tuple[str, str]]:
        """The filters that are set, as they were given."""
        names = self.kind.filters.__struct_encode_fields__
        return [(name, value) for name, value in self.given.items(multi=True) if name in names]

    def url(self, **changes: str | list[str] | None) -> str:
        """Return the URL of this list with other parameters: None leaves one out. It begins at the first page."""
        return url_with(self.given, **changes)


def url_with(given: MultiDict[str, str], **changes: str | list[str] | None) -> str:
    """Return the URL, relative to the current path, of what is *given* but for *changes*, from the first page on."""
    gone = {*changes, *PLACES}
    kept = [(name, value) for name, value in given.items(multi=True) if name not in gone]
    for name, value in changes.items():
        kept += [(name, each) for each in (value if isinstance(value, list) else [value] if value else [])]
    return f"?{urlencode(kept)}" if kept else iri_to_uri(request.script_root + request.path)


def given_parameters() -> MultiDict[str, str]:
    """Return the parameters of the request, without the fields of a form that were left empty."""
    return MultiDict([(name, value.strip()) for name, value in request.args.items(multi=True) if value.strip()])


def with_times(given: MultiDict[str, str]) -> MultiDict[str, str]:
    """Return the parameters with times where words were *given*, such as "24h"; those of the reader's zone.

    Raises ``ParameterError`` for what is no time.
    """
    fixed = given.copy()
    for name in ("since", "until"):
        for text in given.getlist(name)[:1]:
            try:
                fixed[name] = parse_when(text, display.zone(), datetime.now(UTC)).isoformat()
            except ValueError as error:
                raise ParameterError(name, f"{name} {error}") from None
    return fixed


def read_listing(kind: Kind, *, owner: str | None, size: int = limits.EVENTS_BY_DEFAULT) -> Listing:
    """Return the page of events of that *kind* that the URL asks for; what is wrong with it is its ``error``.

    With *owner*, only events that this user may see. A page has *size* events, unless the URL says how many.
    """
    given = given_parameters()
    listing = Listing(kind, given, kind.filters(), list(kind.columns), size)
    try:
        fixed = with_times(given)
        listing.filters, paging = parse(fixed, kind.filters, Paging)
        listing.columns = _columns(kind, paging.column) or listing.columns
        listing.limit = paging.limit or size
        _fill(listing, fixed, paging, owner)
    except ParameterError as error:
        listing.error = error
    return listing


def _columns(kind: Kind, wanted: list[str]) -> list[str]:
    known = kind.item.__struct_fields__
    if not set(wanted) <= set(known):
        raise ParameterError("column", f"column must be one of {', '.join(known)}")
    return [name for name in known if name in wanted]


def _fill(listing: Listing, fixed: MultiDict[str, str], paging: Paging, owner: str | None) -> None:
    """Read the events. A page before another is read backwards from that one's first event.

    Further pages are those of the same question: their URLs have the times that its words meant.
    """
    forth = Question(kind=listing.kind, filters=listing.filters, order=Order.NEWEST, owner=owner)
    back = msgspec.structs.replace(forth, order=Order.OLDEST)
    key, session = current_context().signing_key(), read_session()
    after: Position | None
    if paging.before:
        after = Cursors(key, back).decode(paging.before)
        items, more = list_events(session, back, limit=listing.limit, after=after)
        items.reverse()
        is_first, is_last = more is None, False
    else:
        after = Cursors(key, forth).decode(paging.cursor) if paging.cursor else None
        items, more = list_events(session, forth, limit=listing.limit, after=after)
        is_first, is_last = after is None, more is None
    listing.items = items
    if items and not is_last:
        listing.next_url = url_with(fixed, cursor=Cursors(key, forth).encode(_position(items[-1])))
    if items and not is_first:
        listing.previous_url = url_with(fixed, before=Cursors(key, back).encode(_position(items[0])))


def _position(item: Any) -> Position:
    return Position(item.timestamp, item.seq)
