"""What a reader may ask for. The titles say what a value must be; the API's errors are made of them."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from audit_service.vocabulary import AdminAction, Outcome

Username = Annotated[str, Meta(max_length=255, title="a text of at most 255 characters", description="exact name")]
OutcomeName = Annotated[Outcome, Meta(title="`success` or `failure`", description="how it ended")]
_TIME = "an RFC 3339 time with its offset, such as 2026-01-31T12:00:00Z (write + as %2B in a URL)"
Since = Annotated[datetime, Meta(tz=True, title=_TIME, description="not before this time")]
Until = Annotated[datetime, Meta(tz=True, title=_TIME, description="before this time")]


Actor = Annotated[str, Meta(max_length=255, title="a text of at most 255 characters", description="exact: who did it")]
Target = Annotated[
    str, Meta(max_length=255, title="a text of at most 255 characters", description="exact: to what it was done")
]
AdminActionName = Annotated[
    AdminAction,
    Meta(title="one of " + ", ".join(f"`{action}`" for action in AdminAction), description="what was done"),
]


class EventFilters(msgspec.Struct, frozen=True, kw_only=True):
    """Filters that every kind of event has. Times are aware and in UTC; an empty list filters nothing."""

    since: Since | None = None
    until: Until | None = None


class LoginFilters(EventFilters, frozen=True, kw_only=True):
    """Filters for logins."""

    username: list[Username] = []
    outcome: list[OutcomeName] = []


class ErrorFilters(EventFilters, frozen=True, kw_only=True):
    """Filters for errors."""

    username: list[Username] = []


class AdminFilters(EventFilters, frozen=True, kw_only=True):
    """Filters for admin events."""

    actor: list[Actor] = []
    action: list[AdminActionName] = []
    target: list[Target] = []
