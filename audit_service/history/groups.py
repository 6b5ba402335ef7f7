"""Errors in groups, by their fingerprints: the same bug, once."""

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from audit_service.events.errors import ERRORS, ErrorFilters, ErrorItem
from audit_service.history.conditions import conditions
from audit_service.history.query import PATIENCE
from audit_service.history.question import Question
from audit_service.history.summary import with_span
from audit_service.history.summing import By, Count, Summary
from audit_service.history.times import count_times
from audit_service.storage.bounded import patient
from audit_service.storage.models import table_of


class ErrorGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Errors with one fingerprint: how many, between which times, and the newest one."""

    fingerprint: str
    count: int
    first: datetime
    last: datetime
    newest: ErrorItem


class ErrorGroups(msgspec.Struct, frozen=True, kw_only=True):
    """The groups, the newest first; and what they cover."""

    since: datetime
    until: datetime
    items: list[ErrorGroup]


def group_errors(session: Session, filters: ErrorFilters, *, limit: int, now: datetime) -> ErrorGroups:
    """Return the groups that had errors in the last 30 days, unless the filters say since when."""
    covered = with_span(filters, now)
    table = table_of(ERRORS)
    found = conditions(table, Question(kind=ERRORS, filters=covered), session.get_bind().dialect)
    groups = (
        select(
            table.c.fingerprint,
            func.count().label("count"),
            func.min(table.c.timestamp).label("first"),
            func.max(table.c.timestamp).label("last"),
        )
        .where(*found.values())
        .group_by(table.c.fingerprint)
        .order_by(func.max(table.c.timestamp).desc(), table.c.fingerprint)
        .limit(limit)
        .subquery()
    )
    in_group = (table.c.fingerprint == groups.c.fingerprint, table.c.timestamp == groups.c.last)
    newest = select(func.max(table.c.seq)).where(*in_group, *found.values()).correlate(groups).scalar_subquery()
    example = table.alias("example")
    joined = groups.join(example, example.c.seq == newest)
    query = select(groups.c["count"], groups.c["first"], groups.c["last"], example).select_from(joined)
    ordered = query.order_by(groups.c.last.desc(), groups.c.fingerprint)
    with patient(session.connection(), PATIENCE):
        rows = session.connection().execute(ordered).mappings().all()
    items = [
        ErrorGroup(
            fingerprint=row["fingerprint"],
            count=row["count"],
            first=row["first"],
            last=row["last"],
            newest=ErrorItem(**{name: row[name] for name in ErrorItem.__struct_fields__}),
        )
        for row in rows
    ]
    return ErrorGroups(since=covered.since, until=covered.until, items=items)


def count_errors(session: Session, filters: ErrorFilters, *, by: By, tz: str, now: datetime) -> Summary:
    """Return how many errors there were in each hour or day of a time zone, in the order of time; each is a failure.

    They are those of the last 30 days before *now*, unless the filters say since when.
    """
    covered = with_span(filters, now)
    found = list(
        conditions(table_of(ERRORS), Question(kind=ERRORS, filters=covered), session.get_bind().dialect).values()
    )
    with patient(session.connection(), PATIENCE):
        counted = count_times(session, table_of(ERRORS), found, by, ZoneInfo(tz))
    items = [Count(key=key, count=count, failures=count) for key, count in counted.items()]
    return Summary(by=by, then=None, tz=tz, since=covered.since, until=covered.until, items=items)


def count_users(session: Session, filters: ErrorFilters, *, top: int) -> list[Count]:
    """Return who was logged in how often when there was an error, the *top* of them; a key of None is nobody.

    Errors from which that was erased do not count.
    """
    table = table_of(ERRORS)
    found = conditions(table, Question(kind=ERRORS, filters=filters), session.get_bind().dialect)
    query = (
        select(table.c.username, func.count())
        .where(table.c.message.is_not(None), *found.values())
        .group_by(table.c.username)
    )
    with patient(session.connection(), PATIENCE):
        rows = session.connection().execute(query.order_by(func.count().desc(), table.c.username).limit(top)).all()
    return [Count(key=name, count=count, failures=count) for name, count in rows]
