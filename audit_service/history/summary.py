"""The history in numbers: how many logins, by what."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from msgspec import Meta
from sqlalchemy import ColumnElement, Dialect, Integer, Interval, Table, case, cast, func, literal, select, type_coerce
from sqlalchemy.orm import Session

from audit_service.events.logins import LOGINS, LoginFilters
from audit_service.history.conditions import conditions
from audit_service.history.query import PATIENCE
from audit_service.history.question import Question
from audit_service.storage.bounded import patient
from audit_service.storage.database import UtcDateTime
from audit_service.storage.dialects import is_postgresql
from audit_service.storage.models import table_of
from audit_service.values import limits
from audit_service.vocabulary import Outcome

QUARTER = timedelta(minutes=15)  # every zone's offset from UTC is a multiple of it, since 1972
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CALENDAR = (datetime(2, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))  # within it every zone has its times
DEFAULT_SPAN = timedelta(days=limits.DAYS_BY_DEFAULT)


class By(StrEnum):
    """What logins are counted by."""

    HOUR = "hour"
    DAY = "day"
    USERNAME = "username"
    REMOTE_ADDR = "remote_addr"
    NETWORK = "network"
    OUTCOME = "outcome"
    REASON = "reason"
    METHOD = "method"
    APP = "app"


@lru_cache
def _zones() -> set[str]:
    return available_timezones() - {"localtime", "Factory"}  # those depend on the machine, or mean none


def _zone(name: str) -> str:
    if name not in _zones():
        raise ValueError(name)
    return name


class Summing(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted, and how much of it is wanted."""

    by: Annotated[
        By, Meta(title=f"one of {', '.join(f'`{word}`' for word in By)}", description="what logins are counted by")
    ]
    top: Annotated[
        int,
        Meta(
            ge=1,
            le=limits.COUNTS,
            title=f"a number from 1 to {limits.COUNTS}",
            description="the most frequent ones; not for times",
        ),
    ] = limits.COUNTS_BY_DEFAULT
    tz: Annotated[
        str,
        Meta(
            max_length=limits.TIME_ZONE,
            title="a time zone such as Europe/Berlin",
            description="where hours and days begin (IANA time zone)",
            extra={"parse": _zone},
        ),
    ] = "UTC"


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many events have this ``key``: a word, or the beginning of an hour or day; null for events without one."""

    key: str | None
    count: int
    failures: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Counts, in the order of time, else the most frequent first; and what they cover."""

    by: By
    tz: str
    since: datetime
    until: datetime
    items: list[Count]


def summarise(
    session: Session, filters: LoginFilters, summing: Summing, *, owner: str | None, now: datetime
) -> Summary:
    """Count logins, failed logins and logouts of the last 30 days, unless the filters say since when."""
    covered = with_span(filters, now)
    table, dialect = table_of(LOGINS), session.get_bind().dialect
    question = Question(kind=LOGINS, filters=covered, owner=owner)
    found = list(conditions(table, question, dialect).values())
    count = _by_time if summing.by in (By.HOUR, By.DAY) else _by_field
    with patient(session.connection(), PATIENCE):
        items = count(session, table, found, summing)
    return Summary(by=summing.by, tz=summing.tz, since=covered.since, until=covered.until, items=items)


def with_span(filters: Any, now: datetime) -> Any:
    """Return *filters* with the times that they leave open: until now, and since 30 days before."""
    first, last = CALENDAR
    until = min(max(filters.until or now, first + DEFAULT_SPAN), last)
    return msgspec.structs.replace(filters, since=max(filters.since or until - DEFAULT_SPAN, first), until=until)


def _by_field(session: Session, table: Table, found: list[ColumnElement[bool]], summing: Summing) -> list[Count]:
    key = table.c[summing.by.value]
    query = select(key, func.count(), _failures(table)).where(*found).group_by(key)
    rows = session.connection().execute(query.order_by(func.count().desc(), key).limit(summing.top))
    return [Count(key=key, count=count, failures=failures) for key, count, failures in rows]


def _by_time(session: Session, table: Table, found: list[ColumnElement[bool]], summing: Summing) -> list[Count]:
    """Count by quarters of an hour in the database, and by hours or days of the zone from these.

    All and the failures are counted apart: for each there is an index that has all that is needed.
    """
    is_failure = table.c.outcome == literal(Outcome.FAILURE.value, literal_execute=True)
    zone = ZoneInfo(summing.tz)

    def count(*conditions: ColumnElement[bool]) -> Counter[str]:
        quarter = _quarter(table, session.get_bind().dialect).label("quarter")
        query = select(quarter, func.count()).where(*conditions).group_by(quarter).order_by(quarter)
        counted: Counter[str] = Counter()
        for begun, events in session.connection().execute(query).all():
            local = begun.astimezone(zone)
            begin = local.replace(minute=0) if summing.by is By.HOUR else local.replace(hour=0, minute=0, fold=0)
            counted[begin.isoformat()] += events
        return counted

    failures = count(*found, is_failure)  # first: what comes in meanwhile is never more failures than events
    everything = count(*found)
    return [Count(key=key, count=events, failures=failures[key]) for key, events in everything.items()]


def _quarter(table: Table, dialect: Dialect) -> ColumnElement[datetime]:
    """Return when the quarter of an hour began in which an event happened."""
    if is_postgresql(dialect):
        return func.date_bin(cast(QUARTER, Interval), table.c.timestamp, cast(EPOCH, UtcDateTime))
    seconds = cast(func.strftime("%s", table.c.timestamp), Integer)
    past = (seconds % QUARTER.seconds + QUARTER.seconds) % QUARTER.seconds  # before 1970 the first is negative
    return type_coerce(func.datetime(seconds - past, "unixepoch"), UtcDateTime)


def _failures(table: Table) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((table.c.outcome == Outcome.FAILURE.value, 1), else_=0)), 0)
