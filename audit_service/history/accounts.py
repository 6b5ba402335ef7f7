"""The last login of every account, and the accounts without one for some time."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from audit_service.history.last import of_last_success
from audit_service.history.query import PATIENCE
from audit_service.storage.bounded import patient
from audit_service.storage.models import Account, LoginEvent


class AccountLogin(msgspec.Struct, frozen=True, kw_only=True):
    """An account, and its last login that succeeded; null if there was none."""

    username: str
    role: str
    created_at: datetime
    disabled_at: datetime | None
    last_login_at: datetime | None
    last_login_id: str | None
    remote_addr: str | None


class AccountLogins(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts, those that have been away the longest first; ``total`` counts also what *limit* left out."""

    total: int
    items: list[AccountLogin]


def account_logins(session: Session, *, days: int, limit: int, now: datetime) -> AccountLogins:
    """Return the accounts of the service that did not log in within the last *days* before *now*; with 0 days all.

    An account that never logged in counts from when it was made.
    """
    last, newest = LoginEvent.__table__.alias("last"), LoginEvent.__table__.alias("newest")
    seq = of_last_success(newest.c.seq, newest, session.get_bind().dialect)
    columns = (Account.username, Account.role, Account.created_at, Account.disabled_at)
    query: Select[Any] = select(*columns, last.c.id, last.c.timestamp, last.c.remote_addr).outerjoin(
        last, last.c.seq == seq
    )
    since = func.coalesce(last.c.timestamp, Account.created_at)
    if days:
        query = query.where(since < now - timedelta(days=days))
    with patient(session.connection(), PATIENCE):
        total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
        rows = session.execute(query.order_by(since, Account.username).limit(limit)).all()
    items = [
        AccountLogin(
            username=username,
            role=role,
            created_at=created_at,
            disabled_at=disabled_at,
            last_login_at=timestamp,
            last_login_id=None if event_id is None else str(event_id),
            remote_addr=remote_addr,
        )
        for username, role, created_at, disabled_at, event_id, timestamp, remote_addr in rows
    ]
    return AccountLogins(total=total, items=items)
