"""What all kinds of events have in common, and how a kind is described."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta
from uuid_utils.compat import uuid7

from audit_service.events.operators import in_query
from audit_service.events.request_info import parse_network
from audit_service.values import limits

# The type of a field that is null only where it was erased: a text in new events, in items a text or null.
Erasable = TypeVar("Erasable")


def _now() -> datetime:
    return datetime.now(UTC)


class NewEvent(msgspec.Struct, kw_only=True, frozen=True):
    """What every event has. Its id is made with it: storing the same id twice is storing it once."""

    id: UUID = msgspec.field(default_factory=uuid7)
    timestamp: datetime = msgspec.field(default_factory=_now)
    app: str
    remote_addr: str | None = None
    request_id: str | None = None


def text_filter(limit: int, meaning: str) -> Meta:
    """Return the ``Meta`` of a filter that takes a text of at most *limit* characters."""
    return Meta(max_length=limit, title=f"a text of at most {limit} characters", description=meaning)


def part_filter(limit: int, meaning: str) -> Meta:
    """Return the ``Meta`` of a filter that takes a part of a text, which has at most *limit* characters."""
    return Meta(min_length=1, max_length=limit, title=f"a text of 1 to {limit} characters", description=meaning)


def detail_filter() -> Meta:
    """Return the ``Meta`` of a filter for a member of an event's details."""
    return Meta(
        max_length=limits.DETAIL_FILTER,
        title="a key and its value, such as provider=github",
        description="a member of the details: a text, a number, true or false",
        extra={"parse": parse_detail},
    )


def parse_detail(text: str) -> str:
    """Return *text* if it is a key and a value; raise ``ValueError`` if it is none."""
    key, equals, _value = text.partition("=")
    if not (key and equals):
        raise ValueError(text)
    return text


def word_filter(vocabulary: type[StrEnum], meaning: str) -> Meta:
    """Return the ``Meta`` of a filter that takes a word of a *vocabulary*."""
    *others, last = (f"`{word}`" for word in vocabulary)
    return Meta(title=f"{', '.join(others)} or {last}", description=meaning)


TIME_TITLE = "an RFC 3339 time with its offset, such as 2026-01-31T12:00:00Z"

App = Annotated[str, text_filter(limits.APP, "the app that it happened in")]
RequestId = Annotated[str, text_filter(limits.REQUEST_ID, "the id of the request that it happened in")]
Network = Annotated[
    str,
    Meta(
        max_length=limits.NETWORK_FILTER,
        title="an IP address, or a network such as 10.0.0.0/8 or 2001:db8::/32",
        description="the address, or a network that it is in",
        extra={"parse": parse_network},
    ),
]
Since = Annotated[datetime, Meta(tz=True, title=TIME_TITLE, description="not before this time")]
Until = Annotated[datetime, Meta(tz=True, title=TIME_TITLE, description="before this time")]


class EventFilters(msgspec.Struct, frozen=True, kw_only=True, rename=in_query):
    """Filters that every kind of event has. Times are aware and in UTC; an empty list filters nothing.

    A list takes any of its values; one whose name ends in ``_not`` none of them. The titles say what a value must be:
    the API's errors and its document use them.
    """

    since: Since | None = None
    until: Until | None = None
    app: list[App] = []
    app_not: list[App] = []
    remote_addr: list[Network] = []
    remote_addr_not: list[Network] = []
    request_id: list[RequestId] = []


@dataclass(frozen=True, kw_only=True, eq=False)
class Kind:
    """One kind of event: what the trail, the spool, the history, the API and the commands know of it.

    The fields are declared once, in ``new``; the columns of the table have the same names.
    """

    name: str  # in the spool
    table: str
    collection: str  # in URLs and the names of files
    command: str  # the word for it on the command line
    what: str  # in words, for people; the plural
    new: type[NewEvent]  # the events on their way into the trail
    item: type[NewEvent]  # the events as readers see them: with ``seq`` and ``recorded_at``
    filters: type[EventFilters]
    columns: tuple[str, ...]  # the fields that a table on a terminal has room for
    names: tuple[str, ...]  # the fields that hold names of users
    null_if_erased: str  # a field of who it was, which no event is without until that is erased
    owner: str | None = None  # the field that names the user who may see the event; None: only auditors may
    has_ids_from_outside: bool = False  # so two events may come with one id
    # Filters whose index holds the events of a value in the order of time, those with the rarest values first.
    indexed: tuple[str, ...] = ()
    # Fields that have such an index for their values in small letters, too.
    folded: tuple[str, ...] = ()
    # Words of further filters that have such an index, alone.
    indexed_words: Mapping[str, StrEnum] = field(default_factory=dict)

    @property
    def auditors_only(self) -> bool:
        """Tell whether users may not even see those events that are about themselves."""
        return self.owner is None

    def of(self, events: Iterable[NewEvent]) -> list[NewEvent]:
        """Return those of *events* that are of this kind, in their order."""
        new = self.new
        return [event for event in events if type(event) is new]
