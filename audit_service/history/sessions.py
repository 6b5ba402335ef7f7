"""Who is logged in: the sessions of accounts that are alive."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from audit_service.history.query import PATIENCE
from audit_service.settings.table import Settings
from audit_service.storage.bounded import patient
from audit_service.storage.models import Account, EndedSession, KnownSession


class LiveSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session that is alive; ``remote_addr`` and ``user_agent`` are those of when it was ``seen_at``."""

    username: str
    role: str
    started_at: datetime
    seen_at: datetime
    remote_addr: str | None
    user_agent: str | None


class LiveSessions(msgspec.Struct, frozen=True, kw_only=True):
    """The sessions, the one that was seen last first; ``total`` counts also what *limit* left out."""

    total: int
    items: list[LiveSession]


def live_sessions(
    session: Session, settings: Settings, *, limit: int, now: datetime, username: str | None = None
) -> LiveSessions:
    """Return the sessions that are alive at *now*, of all accounts or of that of *username*. It is one query."""
    seen = (KnownSession.started_at, KnownSession.seen_at, KnownSession.remote_addr, KnownSession.user_agent)
    query = select(Account.username, Account.role, *seen, func.count().over()).where(*_alive(settings, now))
    if username is not None:
        query = query.where(Account.username == username)
    query = query.order_by(KnownSession.seen_at.desc(), KnownSession.session_id).limit(limit)
    with patient(session.connection(), PATIENCE):
        rows = session.execute(query).all()
    items = [
        LiveSession(
            username=name,
            role=role,
            started_at=started_at,
            seen_at=seen_at,
            remote_addr=remote_addr,
            user_agent=user_agent,
        )
        for name, role, started_at, seen_at, remote_addr, user_agent, _total in rows
    ]
    return LiveSessions(total=rows[0][-1] if rows else 0, items=items)


def count_live(session: Session, settings: Settings, usernames: Iterable[str], *, now: datetime) -> dict[str, int]:
    """Return how many sessions of each account of these names are alive at *now*; without those that have none."""
    query = select(Account.username, func.count()).where(*_alive(settings, now), Account.username.in_(usernames))
    with patient(session.connection(), PATIENCE):
        return dict(session.execute(query.group_by(Account.username)).all())


def _alive(settings: Settings, now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for sessions whose cookies are still good, and for the account of each.

    Cookies have whole seconds. A cookie and its row are renewed together, so they are idle for equally long.
    """
    second = now.replace(microsecond=0)
    return (
        Account.username == KnownSession.username,
        Account.session_key == KnownSession.session_key,
        Account.disabled_at.is_(None),
        KnownSession.started_at >= second - timedelta(seconds=settings.session_lifetime),
        KnownSession.seen_at >= second - timedelta(seconds=settings.session_idle),
        ~exists().where(EndedSession.session_id == KnownSession.session_id),
    )
