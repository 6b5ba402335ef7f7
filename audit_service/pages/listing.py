"""A list of events as a page: the whole question is in its URL, a page can be left in both directions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any
from urllib.parse import quote_plus, urlencode

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
from audit_service.pages.forms import Field, fields_of, label
from audit_service.values import limits
from audit_service.values.when import parse_when
from audit_service.web import display

SIZES = (25, 50, 100, 250)
SIZE = 100  # events on a page, unless the URL says how many
PLACES = ("cursor", "before")  # parameters that say which page it is
_SAFE = "/:,"  # characters that stand for themselves in a query
# Filters by another field's values.
_FILTER_OF = {"network": "remote_addr"}

Given = MultiDict[str, str]


class Paging(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of the list is wanted, how long (0: as the page has it), and which columns of it."""

    limit: Annotated[int, Meta(ge=1, le=limits.EVENTS, title=f"a number from 1 to {limits.EVENTS}")] = 0
    cursor: Cursor | None = None
    before: Cursor | None = None
    column: list[Annotated[str, Meta(max_length=limits.USERNAME, title="the name of a column")]] = []


@dataclass
class Listing:
    """What a page of a list shows.

    ``fixed`` are filters that the page itself sets; ``choosable`` the columns that there are, if they can be chosen.
    """

    kind: Kind
    given: Given
    filters: EventFilters
    owner: str | None
    columns: list[str]
    fixed: dict[str, str] = field(default_factory=dict)
    choosable: tuple[str, ...] = ()
    limit: int = SIZE
    place: Paging = field(default_factory=Paging)
    timed: Given = field(default_factory=MultiDict)  # what was given, with the times that its words meant
    items: list[Any] = field(default_factory=list)
    next_url: str | None = None
    previous_url: str | None = None
    error: ParameterError | None = None

    @property
    def active(self) -> list[tuple[str, str]]:
        """The filters that are set, as they were given."""
        return [(name, value) for name, value in self.given.items(multi=True) if name in filter_names(self.kind)]

    @property
    def question(self) -> dict[str, Any]:
        """The filters that are set, as parameters of another URL."""
        found = {name: values for name, values in self.timed.lists() if name in filter_names(self.kind)}
        return found | self.fixed

    @property
    def fields(self) -> list[Field]:
        """The fields of the form."""
        return [each for each in fields_of(self.kind, self.given, self.error) if each.name not in self.fixed]

    @cached_property
    def labels(self) -> dict[str, str]:
        """What the columns are called."""
        return {name: label(name) for name in (*self.choosable, *self.columns)}

    @property
    def beginnings(self) -> dict[str, str]:
        """The beginnings of the URLs that filter by a value of a column, which is to be added (see ``quoted``)."""
        names = {column: _FILTER_OF.get(column, column) for column in self.columns}
        return {
            column: f"?{urlencode([*self._without(name, *PLACES), (name, '')], safe=_SAFE)}"
            for column, name in names.items()
            if name in filter_names(self.kind) and name not in self.fixed
        }

    @property
    def plain(self) -> set[tuple[str, str]]:
        """The columns and values that the list is filtered by already."""
        return {(column, value) for column in self.columns for value in self.given.getlist(column)}

    def has(self, changes: Mapping[str, str | None]) -> bool:
        """Tell whether the list is the one that these *changes* would lead to."""
        return all(self.given.get(name) == value for name, value in changes.items())

    def url(self, **changes: str | list[str] | None) -> str:
        """Return the URL of this list with other parameters: None leaves one out. It begins at the first page."""
        return self._url(self._without(*changes, *PLACES), changes)

    def place_url(self, **place: str) -> str:
        """Return the URL of another page of this list. It asks for the same times, whatever the words mean by then."""
        return self._url([item for item in self.timed.items(multi=True) if item[0] not in PLACES], dict(place))

    def _url(self, kept: list[tuple[str, str]], changes: Mapping[str, str | list[str] | None]) -> str:
        for name, value in changes.items():
            kept += [(name, each) for each in (value if isinstance(value, list) else [value] if value else [])]
        path = iri_to_uri(request.script_root + request.path)
        return f"{path}?{urlencode(kept, safe=_SAFE)}" if kept else path

    def _without(self, *gone: str) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.given.items(multi=True) if name not in gone]


def quoted(value: object) -> str:
    """Return *value* as a query has it."""
    return quote_plus(str(value), safe=_SAFE)


def filter_names(kind: Kind) -> tuple[str, ...]:
    """Return the names of the filters of a *kind* in a query string."""
    return kind.filters.__struct_encode_fields__


def given_parameters() -> Given:
    """Return the parameters of the request, without the fields of a form that were left empty."""
    return MultiDict([(name, value.strip()) for name, value in request.args.items(multi=True) if value.strip()])


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
    given = given_parameters()
    listing = Listing(kind, given, kind.filters(), owner, list(columns), fixed or {}, limit=size)
    if columns:
        listing.choosable = tuple(dict.fromkeys((*columns, *kind.item.__struct_fields__)))
    try:
        listing.columns = _columns(listing)
        listing.filters, listing.place = parse(with_times(given), kind.filters, Paging)
        fixed_lists = {name: [value] for name, value in listing.fixed.items()}
        listing.filters = msgspec.structs.replace(listing.filters, **fixed_lists)
        listing.limit = listing.place.limit or size
    except ParameterError as error:
        listing.error = error
    else:
        _shorten(given, listing, size, list(columns))
        listing.timed = with_times(given, listing.filters)
    return listing


def with_times(given: Given, filters: EventFilters | None = None) -> Given:
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


def fill(listing: Listing) -> None:
    """Read the events of the page, unless something is wrong with the question already."""
    if listing.error is None:
        try:
            _fill(listing)
        except ParameterError as error:  # the cursor is of another question
            listing.error = error


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
