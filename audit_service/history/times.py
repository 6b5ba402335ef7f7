"""Counts by time: the database counts by quarters of an hour, and hours and days of a zone are made of these."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Dialect, Integer, Interval, Table, cast, func, select, type_coerce
from sqlalchemy.orm import Session

from audit_service.history.summing import WEEKDAYS, By
from audit_service.storage.database import UtcDateTime
from audit_service.storage.dialects import is_postgresql

QUARTER = timedelta(minutes=15)  # every zone's offset from UTC is a multiple of it, since 1972
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def count_times(
    session: Session, table: Table, found: list[ColumnElement[bool]], by: By, zone: ZoneInfo
) -> Counter[str]:
    """Return how many events there are by an hour, a day, an hour of the day or a weekday of the *zone*.

    Those without events are left out; the others come in the order of time in which they first had one.
    """
    quarter = quarter_of(table, session.get_bind().dialect).label("quarter")
    query = select(quarter, func.count()).where(*found).group_by(quarter).order_by(quarter)
    counted: Counter[str] = Counter()
    for begun, events in session.connection().execute(query).all():
        counted[key_of(begun.astimezone(zone), by)] += events
    return counted


def quarter_of(table: Table, dialect: Dialect) -> ColumnElement[datetime]:
    """Return when the quarter of an hour began in which an event happened."""
    if is_postgresql(dialect):
        return func.date_bin(cast(QUARTER, Interval), table.c.timestamp, cast(EPOCH, UtcDateTime))
    seconds = cast(func.strftime("%s", table.c.timestamp), Integer)
    past = (seconds % QUARTER.seconds + QUARTER.seconds) % QUARTER.seconds  # before 1970 the first is negative
    return type_coerce(func.datetime(seconds - past, "unixepoch"), UtcDateTime)


def key_of(local: datetime, by: By) -> str:
    """Return the key of the count that a quarter of an hour belongs to, which began at *local*, a time of the zone."""
    match by:
        case By.HOUR_OF_DAY:
            return f"{local:%H}"
        case By.WEEKDAY:
            return WEEKDAYS[local.weekday()]
        case By.HOUR:
            return local.replace(minute=0).isoformat()
    return local.replace(hour=0, minute=0, fold=0).isoformat()


def in_order(keys: Iterable[str], by: By) -> list[str]:
    """Return *keys*, which come in the order of time, in the order of a day or a week."""
    if by is By.WEEKDAY:
        return sorted(keys, key=WEEKDAYS.index)
    return sorted(keys) if by is By.HOUR_OF_DAY else list(keys)
