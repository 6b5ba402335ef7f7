"""The last logins of a name, and when each of several accounts logged in last."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Dialect, FromClause, ScalarSelect, func, select, tuple_
from sqlalchemy.orm import Session

from audit_service.events.logins import LOGINS, LoginFilters, LoginItem
from audit_service.history.conditions import conditions, succeeded
from audit_service.history.merged import in_order_of_time
from audit_service.history.query import PATIENCE, list_events
from audit_service.history.question import Question
from audit_service.storage.bounded import patient
from audit_service.storage.dialects import is_postgresql
from audit_service.storage.models import Account, table_of
from audit_service.vocabulary import Action, Outcome


class LastLogins(msgspec.Struct, frozen=True, kw_only=True):
    """The last login of a name that succeeded, the last that failed, and the failures since the one that succeeded."""

    username: str
    last_success: LoginItem | None
    last_failure: LoginItem | None
    failures_since: int


def last_logins(session: Session, username: str, *, owner: str | None) -> LastLogins:
    """Return the last logins of *username*; with *owner*, nothing of others."""

    def last(outcome: Outcome) -> LoginItem | None:
        filters = LoginFilters(username=[username], action=[Action.LOGIN], outcome=[outcome])
        return next(iter(list_events(session, Question(kind=LOGINS, filters=filters, owner=owner), limit=1)[0]), None)

    success, failure = last(Outcome.SUCCESS), last(Outcome.FAILURE)
    table = table_of(LOGINS)
    failed = LoginFilters(username=[username], action=[Action.LOGIN], outcome=[Outcome.FAILURE])
    question = Question(kind=LOGINS, filters=failed, owner=owner)
    found = conditions(table, question, session.get_bind().dialect)
    place = tuple_(table.c.timestamp, table.c.seq)
    if success:
        found["later"] = place > tuple_(success.timestamp, success.seq)
    if failure:  # not those that came in meanwhile, else the answer would not agree with itself
        found["so far"] = place <= tuple_(failure.timestamp, failure.seq)
    with patient(session.connection(), PATIENCE):
        since = session.connection().execute(select(func.count()).where(*found.values())).scalar_one()
    return LastLogins(username=username, last_success=success, last_failure=failure, failures_since=since)


def last_successes(session: Session, usernames: Iterable[str]) -> dict[str, datetime]:
    """Return when each account of these names logged in last; without those that never did. It is one query."""
    table = table_of(LOGINS)
    last = of_last_success(table.c.timestamp, table, session.get_bind().dialect)
    query = select(Account.username, last).where(Account.username.in_(usernames))
    with patient(session.connection(), PATIENCE):
        return {name: at for name, at in session.connection().execute(query) if at}


def of_last_success(column: ColumnElement[Any], table: FromClause, dialect: Dialect) -> ScalarSelect[Any]:
    """Return the *column* of an account's last login that succeeded, for each row of ``Account``; null without one.

    It reads the index of the account's events from the newest to the one that it looks for.
    """
    query = select(column).where(table.c.username == Account.username, *succeeded(table))
    order = in_order_of_time(table.c, newest=True, by_filter=is_postgresql(dialect))
    return query.order_by(*order).limit(1).correlate(Account).scalar_subquery()
