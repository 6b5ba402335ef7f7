"""Who outside has which checkpoint: the newest one of each witness, and of the hook."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from audit_service.storage.log_models import TrailConfirmation


class Confirmation(NamedTuple):
    """Who has a checkpoint of this size since when; a witness's ``line`` is its cosignature, the hook has none."""

    name: str
    size: int
    confirmed_at: datetime
    line: str | None


def read_confirmations(connection: Connection, log_id: str) -> list[Confirmation]:
    """Return the newest confirmation of each, by their names."""
    columns = [getattr(TrailConfirmation, name) for name in Confirmation._fields]
    newest = (
        select(TrailConfirmation.name, func.max(TrailConfirmation.size).label("size"))
        .where(TrailConfirmation.log_id == log_id)
        .group_by(TrailConfirmation.name)
        .subquery()
    )
    query = select(*columns).where(
        TrailConfirmation.log_id == log_id,
        TrailConfirmation.name == newest.c.name,
        TrailConfirmation.size == newest.c.size,
    )
    return [Confirmation(*row) for row in connection.execute(query.order_by(TrailConfirmation.name))]


def store_confirmation(connection: Connection, log_id: str, confirmation: Confirmation) -> None:
    """Store a confirmation, in the place of an earlier one of the same checkpoint by the same."""
    same = (
        TrailConfirmation.log_id == log_id,
        TrailConfirmation.size == confirmation.size,
        TrailConfirmation.name == confirmation.name,
    )
    connection.execute(delete(TrailConfirmation).where(*same))
    connection.execute(insert(TrailConfirmation).values(log_id=log_id, **confirmation._asdict()))
