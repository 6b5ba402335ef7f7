"""The history in numbers: how many logins, by what."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import (
    ColumnElement,
    Integer,
    Table,
    case,
    cast,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.orm import Session

from audit_service.errors import ParameterError
from audit_service.events.logins import LOGINS, LoginFilters
from audit_service.history.conditions import conditions
from audit_service.history.query import PATIENCE
from audit_service.history.question import Question
from audit_service.history.summing import PARTS, TIMES, By, Count, Part, Summary, Summing
from audit_service.history.times import count_times, in_order, key_of, quarter_of
from audit_service.storage.bounded import patient
from audit_service.storage.models import table_of
from audit_service.values import limits
from audit_service.vocabulary import Outcome

CALENDAR = (datetime(2, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))  # within it every zone has its times
DEFAULT_SPAN = timedelta(days=limits.DAYS_BY_DEFAULT)


def summarise(
    session: Session, filters: LoginFilters, summing: Summing, *, owner: str | None, now: datetime
) -> Summary:
    """Count logins, failed logins and logouts of the last 30 days, unless the filters say since when."""
    covered = with_span(filters, now)
    table, dialect = table_of(LOGINS), session.get_bind().dialect
    question = Question(kind=LOGINS, filters=covered, owner=owner)
    found = list(conditions(table, question, dialect).values())
    with patient(session.connection(), PATIENCE):
        if summing.then is None and summing.by is By.OUTCOME:
            count = _by_outcome
        elif summing.then is None:
            count = _by_time if summing.by in TIMES else _by_field
        else:
            count = _by_time_and_field if summing.by in TIMES else _by_two_fields
        items = count(session, table, found, summing)
    return Summary(
        by=summing.by, then=summing.then, tz=summing.tz, since=covered.since, until=covered.until, items=items
    )


def with_span(filters: Any, now: datetime, span: timedelta = DEFAULT_SPAN) -> Any:
    """Return *filters* with the times that they leave open: until *now*, and since a *span* before, of 30 days."""
    first, last = CALENDAR
    until = min(max(filters.until or now, first + span), last)
    return msgspec.structs.replace(filters, since=max(filters.since or until - span, first), until=until)


def _by_field(session: Session, table: Table, found: list[ColumnElement[bool]], summing: Summing) -> list[Count]:
    key = table.c[summing.by.value]
    query = select(key, func.count(), _failures(table)).where(*found).group_by(key)
    rows = session.connection().execute(query.order_by(func.count().desc(), key).limit(summing.top))
    return [Count(key=key, count=count, failures=failures) for key, count, failures in rows]


def _by_outcome(session: Session, table: Table, found: list[ColumnElement[bool]], summing: Summing) -> list[Count]:
    """Count all and the failures apart, as ``_by_time`` does."""
    query = select(func.count()).select_from(table).where(*found)
    failures = session.execute(query.where(_is_failure(table))).scalar_one()
    successes = session.execute(query).scalar_one() - failures
    counts = [
        Count(key=Outcome.SUCCESS, count=successes, failures=0),
        Count(key=Outcome.FAILURE, count=failures, failures=failures),
    ]
    return sorted((each for each in counts if each.count), key=lambda each: (-each.count, each.key))[: summing.top]


def _by_two_fields(session: Session, table: Table, found: list[ColumnElement[bool]], summing: Summing) -> list[Count]:
    key, part = table.c[summing.by.value], table.c[str(summing.then)]
    cells = (
        select(key.label("key"), part.label("part"), func.count().label("events"), _failures(table).label("failures"))
        .where(*found)
        .group_by(key, part)
    )
    cell = cells.cte("cells").c
    distinct, events = func.count(cell.part), cast(func.sum(cell.events), Integer)
    totals = select(cell.key, events, cast(func.sum(cell.failures), Integer), distinct).group_by(cell.key)
    rows = session.connection().execute(
        totals.order_by(distinct.desc(), func.sum(cell.events).desc(), cell.key).limit(summing.top)
    )
    counts = [tuple(row) for row in rows]
    is_one = or_(key.in_([each for each, *_ in counts if each is not None]), key.is_(None))
    few = cells.where(is_one).cte("few").c
    rank = func.row_number().over(partition_by=few.key, order_by=(few.events.desc(), few.part)).label("rank")
    ranked = select(few.key, few.part, few.events, few.failures, rank).subquery()
    parts: dict[str | None, list[Part]] = {each: [] for each, *_ in counts}
    for name, value, count, failures, _ in session.connection().execute(
        select(ranked).where(ranked.c.rank <= PARTS).order_by(ranked.c.rank)
    ):
        if name in parts:
            parts[name].append(Part(key=value, count=count, failures=failures))
    return [
        Count(key=name, count=count, failures=failures, distinct=values, parts=parts[name])
        for name, count, failures, values in counts
    ]


def _by_time(session: Session, table: Table, found: list[ColumnElement[bool]], summing: Summing) -> list[Count]:
    """Count by quarters of an hour in the database, and by hours or days of the zone from these.

    All and the failures are counted apart: for each there is an index that has all that is needed.
    """
    zone = ZoneInfo(summing.tz)

    def count(*conditions: ColumnElement[bool]) -> Counter[str]:
        return count_times(session, table, list(conditions), summing.by, zone)

    failures = count(*found, _is_failure(table))  # first: what comes in meanwhile is never more failures than events
    everything = count(*found)
    keys = in_order(everything, summing.by)
    return [Count(key=key, count=everything[key], failures=failures[key]) for key in keys]


def _by_time_and_field(
    session: Session, table: Table, found: list[ColumnElement[bool]], summing: Summing
) -> list[Count]:
    """Count by quarters of an hour and the field in the database. Raises ``ParameterError`` for too many of these."""
    zone, part = ZoneInfo(summing.tz), table.c[str(summing.then)]
    quarter = quarter_of(table, session.get_bind().dialect).label("quarter")
    query = select(quarter, part, func.count(), _failures(table)).where(*found).group_by(quarter, part)
    rows = session.connection().execute(query.order_by(quarter).limit(limits.CELLS + 1)).all()
    if len(rows) > limits.CELLS:
        raise ParameterError("then", f"then has too many values in this time ({summing.then}): ask for less of it")
    events: dict[str, Counter[str | None]] = {}
    failures: dict[str, Counter[str | None]] = {}
    for begun, value, count, failed in rows:
        key = key_of(begun.astimezone(zone), summing.by)
        events.setdefault(key, Counter())[value] += count
        failures.setdefault(key, Counter())[value] += failed
    return [
        Count(
            key=key,
            count=events[key].total(),
            failures=failures[key].total(),
            distinct=len(events[key].keys() - {None}),
            parts=[
                Part(key=value, count=count, failures=failures[key][value])
                for value, count in sorted(events[key].items(), key=lambda each: (-each[1], str(each[0])))[:PARTS]
            ],
        )
        for key in in_order(events, summing.by)
    ]


def _is_failure(table: Table) -> ColumnElement[bool]:
    return table.c.outcome == literal(Outcome.FAILURE.value, literal_execute=True)  # as the index has it


def _failures(table: Table) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((table.c.outcome == Outcome.FAILURE.value, 1), else_=0)), 0)
