"""What is said to be proven of an event: the first checkpoint that has it, and who outside has confirmed that."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from audit_service.storage.log_models import TrailCheckpoint, TrailConfirmation


class FirstConfirmation(NamedTuple):
    """Somebody outside who has had a checkpoint since some time."""

    name: str
    confirmed_at: datetime


class Proven(NamedTuple):
    """The first checkpoint that has an event, and of each who has confirmed it or a later one, the first time."""

    size: int
    signed_at: datetime
    confirmations: list[FirstConfirmation]


def proven(connection: Connection, log_id: str, seq: int) -> Proven | None:
    """Return since when the event at *seq* is proven in a log; None if it is not signed yet.

    This is what the database says. Whoever does not trust it verifies the proof.
    """
    checkpoints = select(TrailCheckpoint.size, TrailCheckpoint.signed_at)
    checkpoints = checkpoints.where(TrailCheckpoint.log_id == log_id, TrailCheckpoint.size >= seq)
    row = connection.execute(checkpoints.order_by(TrailCheckpoint.size).limit(1)).one_or_none()
    if row is None:
        return None
    outside = select(TrailConfirmation.name, func.min(TrailConfirmation.confirmed_at))
    outside = outside.where(TrailConfirmation.log_id == log_id, TrailConfirmation.size >= seq)
    confirmations = connection.execute(outside.group_by(TrailConfirmation.name).order_by(TrailConfirmation.name))
    return Proven(row.size, row.signed_at, [FirstConfirmation(*each) for each in confirmations])
