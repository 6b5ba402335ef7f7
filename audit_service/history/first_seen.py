"""What was seen for the first time: names from a network, and what one name came from."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from audit_service.events.logins import LOGINS
from audit_service.history.conditions import succeeded
from audit_service.history.parameters import Span
from audit_service.history.query import PATIENCE
from audit_service.history.summary import with_span
from audit_service.storage.bounded import patient
from audit_service.storage.models import table_of

MOST = 500  # networks with a user agent


class FirstSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A name and a network that it logged in from for the first time, at ``first``; ``count`` logins since then.

    ``is_new`` is true for a name that had not logged in from anywhere before the time that was asked for.
    """

    username: str
    network: str
    first: datetime
    count: int
    is_new: bool


class FirstsSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The first logins, the newest first; and what they cover."""

    since: datetime
    until: datetime
    items: list[FirstSeen]


def first_seen(session: Session, span: Span, *, owner: str | None, limit: int, now: datetime) -> FirstsSeen:
    """Return who logged in from a new network in the last 30 days, unless *span* says since when.

    New is a network (/24, of IPv6 /64) that the name did not log in from before. Only logins that succeeded count.
    What was erased is not known: neither a name, nor where it had been seen.
    """
    covered = with_span(span, now)
    table, before = table_of(LOGINS), table_of(LOGINS).alias("before")
    within = [table.c.timestamp >= covered.since, table.c.timestamp < covered.until, *succeeded(table)]
    if owner is not None:
        within.append(table.c.username == owner)
    seen = (
        select(
            table.c.username, table.c.network, func.min(table.c.timestamp).label("first"), func.count().label("logins")
        )
        .where(table.c.username.is_not(None), table.c.network.is_not(None), *within)
        .group_by(table.c.username, table.c.network)
        .cte("seen")
    )
    earlier = (  # all at once: asked for pair by pair, a busy name is looked through again for each of its networks
        select(before.c.username, before.c.network)
        .where(before.c.username.in_(select(seen.c.username)), before.c.timestamp < covered.since, *succeeded(before))
        .distinct()
        .cte("earlier")
    )
    is_known = seen.c.username.in_(select(earlier.c.username))
    is_same = and_(earlier.c.username == seen.c.username, earlier.c.network == seen.c.network)
    query = select(seen, is_known.label("is_known")).outerjoin(earlier, is_same).where(earlier.c.username.is_(None))
    ordered = query.order_by(seen.c.first.desc(), seen.c.username, seen.c.network).limit(limit)
    with patient(session.connection(), PATIENCE):
        rows = session.connection().execute(ordered).all()
    items = [
        FirstSeen(username=username, network=network, first=first, count=count, is_new=not is_known)
        for username, network, first, count, is_known in rows
    ]
    return FirstsSeen(since=covered.since, until=covered.until, items=items)


def first_uses(session: Session, username: str, since: datetime) -> Sequence[tuple[str | None, str | None, datetime]]:
    """Return each network and user agent of the user's successful logins *since* then, and when it was first seen.

    If there are more than ``MOST``, the newest of them: a program may call itself something else each time.
    """
    table = table_of(LOGINS)
    query = (
        select(table.c.network, table.c.user_agent, func.min(table.c.timestamp))
        .where(table.c.username == username, table.c.timestamp >= since, *succeeded(table))
        .group_by(table.c.network, table.c.user_agent)
        .order_by(func.min(table.c.timestamp).desc())
        .limit(MOST)
    )
    with patient(session.connection(), PATIENCE):
        rows = session.connection().execute(query).all()
    return [(network, user_agent, first) for network, user_agent, first in rows]
