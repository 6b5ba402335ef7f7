"""Where and with what a user has logged in, and since when."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from audit_service.events.logins import LOGINS
from audit_service.storage.models import table_of
from audit_service.vocabulary import Action, Outcome


def first_seen(session: Session, username: str, since: datetime) -> Iterable[Any]:
    """Return each network and user agent of the user's successful logins *since* then, and when it was first seen."""
    table = table_of(LOGINS)
    query = (
        select(table.c.network, table.c.user_agent, func.min(table.c.timestamp))
        .where(
            table.c.username == username,
            table.c.timestamp >= since,
            table.c.action == Action.LOGIN.value,
            table.c.outcome == Outcome.SUCCESS.value,
        )
        .group_by(table.c.network, table.c.user_agent)
    )
    return session.connection().execute(query).all()
