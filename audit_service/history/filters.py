"""What a reader may ask for. The titles say what a value must be: the API's errors and its document use them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from audit_service.events.new import NewEvent
from audit_service.events.request_info import parse_network
from audit_service.vocabulary import Action, AdminAction, Outcome, Reason


class Order(StrEnum):
    """The order of a result: by (``timestamp``, ``seq``), or by ``seq`` alone, which is the order of arrival."""

    NEWEST = "newest"
    OLDEST = "oldest"
    ARRIVAL = "arrival"


def _text(limit: int, meaning: str) -> Meta:
    return Meta(max_length=limit, title=f"a text of at most {limit} characters", description=meaning)


def _word(vocabulary: type[StrEnum], meaning: str) -> Meta:
    *others, last = (f"`{word}`" for word in vocabulary)
    return Meta(title=f"{', '.join(others)} or {last}", description=meaning)


_TIME = "an RFC 3339 time with its offset, such as 2026-01-31T12:00:00Z"

App = Annotated[str, _text(64, "the app that it happened in")]
RequestId = Annotated[str, _text(128, "the id of the request that it happened in")]
Network = Annotated[
    str,
    Meta(
        max_length=64,
        title="an IP address, or a network such as 10.0.0.0/8 or 2001:db8::/32",
        description="the address, or a network that it is in",
        extra={"parse": parse_network},
    ),
]
Since = Annotated[datetime, Meta(tz=True, title=_TIME, description="not before this time")]
Until = Annotated[datetime, Meta(tz=True, title=_TIME, description="before this time")]


class EventFilters(msgspec.Struct, frozen=True, kw_only=True):
    """Filters that every kind of event has. Times are aware and in UTC; an empty list filters nothing."""

    since: Since | None = None
    until: Until | None = None
    app: list[App] = []
    remote_addr: list[Network] = []
    request_id: list[RequestId] = []


class LoginFilters(EventFilters, frozen=True, kw_only=True):
    """Filters for logins, failed logins and logouts."""

    username: list[Annotated[str, _text(255, "the name, exactly")]] = []
    action: list[Annotated[Action, _word(Action, "what was done")]] = []
    outcome: list[Annotated[Outcome, _word(Outcome, "how it ended")]] = []
    reason: list[Annotated[Reason, _word(Reason, "why it failed")]] = []
    method: list[Annotated[str, _text(32, "how the user proved who they are")]] = []


class ErrorFilters(EventFilters, frozen=True, kw_only=True):
    """Filters for unhandled exceptions."""

    username: list[Annotated[str, _text(255, "whose session it was")]] = []
    exception_type: list[Annotated[str, _text(255, "the qualified name of the exception")]] = []
    fingerprint: list[Annotated[str, _text(64, "the same for the same bug")]] = []
    endpoint: list[Annotated[str, _text(255, "the name of the view")]] = []
    http_method: list[Annotated[str, _text(16, "the method of the request")]] = []


class AdminFilters(EventFilters, frozen=True, kw_only=True):
    """Filters for admin events."""

    actor: list[Annotated[str, _text(255, "who did it")]] = []
    action: list[Annotated[AdminAction, _word(AdminAction, "what was done")]] = []
    target: list[Annotated[str, _text(255, "what it was done to")]] = []


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are asked for: of one kind of *item*, in which order, and with *owner* only logins of that name."""

    item: type[NewEvent]
    filters: EventFilters
    order: Order = Order.NEWEST
    owner: str | None = None
