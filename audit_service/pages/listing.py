"""A list of events as a page: what it shows, and the URLs that lead on from it. The whole question is in its URL."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any
from urllib.parse import quote_plus, urlencode

import msgspec
from flask import request
from msgspec import Meta
from werkzeug.datastructures import MultiDict
from werkzeug.urls import iri_to_uri

from audit_service.errors import ParameterError
from audit_service.events.base import EventFilters, Kind
from audit_service.history.parameters import Cursor
from audit_service.pages.forms import Field, fields_of, label
from audit_service.values import limits

SIZES = (25, 50, 100, 250)
SIZE = 100  # events on a page, unless the URL says how many
PLACES = ("cursor", "before")  # parameters that say which page it is
_SAFE = "/:,"  # characters that stand for themselves in a query
FILTER_OF = {"network": "remote_addr"}  # fields whose values another field's filter takes

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
        names = {column: FILTER_OF.get(column, column) for column in self.columns}
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
