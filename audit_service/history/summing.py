"""What logins are counted by, and what a count looks like."""

from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated
from zoneinfo import available_timezones

import msgspec
from msgspec import Meta

from audit_service.values import limits


class Field(StrEnum):
    """A field that logins are counted by."""

    USERNAME = "username"
    REMOTE_ADDR = "remote_addr"
    NETWORK = "network"
    OUTCOME = "outcome"
    REASON = "reason"
    METHOD = "method"
    APP = "app"


class By(StrEnum):
    """What logins are counted by: times of a zone, or a field."""

    HOUR = "hour"
    DAY = "day"
    HOUR_OF_DAY = "hour_of_day"
    WEEKDAY = "weekday"
    USERNAME = Field.USERNAME
    REMOTE_ADDR = Field.REMOTE_ADDR
    NETWORK = Field.NETWORK
    OUTCOME = Field.OUTCOME
    REASON = Field.REASON
    METHOD = Field.METHOD
    APP = Field.APP


WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
TIMES = (By.HOUR, By.DAY, By.HOUR_OF_DAY, By.WEEKDAY)
PARTS = 10  # the most frequent values of the second field, for each key


@lru_cache
def _zones() -> set[str]:
    return available_timezones() - {"localtime", "Factory"}  # those depend on the machine, or mean none


def _zone(name: str) -> str:
    if name not in _zones():
        raise ValueError(name)
    return name


TimeZone = Annotated[
    str,
    Meta(
        max_length=limits.TIME_ZONE,
        title="a time zone such as Europe/Berlin",
        description="whose hours and days they are (IANA time zone)",
        extra={"parse": _zone},
    ),
]


class Summing(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted, and how much of it is wanted."""

    by: Annotated[
        By, Meta(title=f"one of {', '.join(f'`{word}`' for word in By)}", description="what logins are counted by")
    ]
    then: (
        Annotated[
            Field,
            Meta(
                title=f"one of {', '.join(f'`{word}`' for word in Field)}",
                description="a second field, counted for each value of the first: those with most values come first",
            ),
        ]
        | None
    ) = None
    top: Annotated[
        int,
        Meta(
            ge=1,
            le=limits.COUNTS,
            title=f"a number from 1 to {limits.COUNTS}",
            description="the most frequent ones; not for times",
        ),
    ] = limits.COUNTS_BY_DEFAULT
    tz: TimeZone = "UTC"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the events of a ``Count`` have this ``key`` in the second field; null for those without one."""

    key: str | None
    count: int
    failures: int


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many events have this ``key``; null for events without one.

    A key is the value of a field, when an hour or day began, an hour from 00 to 23, or a weekday. With a second field
    ``distinct`` is how many values that has here, and ``parts`` are the most frequent ones; else they are null.
    """

    key: str | None
    count: int
    failures: int
    distinct: int | None = None
    parts: list[Part] | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Counts, in the order of time, else the most frequent first; with a second field those with most values of it.

    ``since`` and ``until`` are what they cover, also when there is nothing.
    """

    by: By
    then: Field | None
    tz: str
    since: datetime
    until: datetime
    items: list[Count]
