"""Who outside has which checkpoint: the newest one of each witness, of the hook and of a time-stamping authority."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, and_, delete, desc, func, insert, select

from audit_service.storage.log_models import TrailConfirmation

STAMP = "stamp "  # how the name of an authority begins, then its host; names of witnesses have no spaces
IS_STAMP = TrailConfirmation.name.startswith(STAMP)
IS_COSIGNATURE = and_(TrailConfirmation.line.is_not(None), ~IS_STAMP)


class Confirmation(NamedTuple):
    """Who has a checkpoint of this size since when.

    A witness's ``line`` is its cosignature, that of a time-stamping authority its TimeStampResp in base64; the hook has
    none.
    """

    name: str
    size: int
    confirmed_at: datetime
    line: str | None


def read_confirmations(connection: Connection, log_id: str) -> list[Confirmation]:
    """Return the newest confirmation of each, by their names; however many there are, it reads a few rows."""
    found: list[Confirmation] = []
    while name := _next_name(connection, log_id, found[-1].name if found else ""):
        newest = read_confirmation(connection, log_id, name)
        if newest is None:  # it was removed meanwhile
            break
        found.append(newest)
    return found


def _next_name(connection: Connection, log_id: str, name: str) -> str | None:
    """Return the name after *name*: the index is asked for each one, and not for each row."""
    of_log = select(func.min(TrailConfirmation.name)).where(TrailConfirmation.log_id == log_id)
    return connection.scalar(of_log.where(TrailConfirmation.name > name))


def read_confirmation(connection: Connection, log_id: str, name: str) -> Confirmation | None:
    """Return the newest confirmation by *name*; None if there is none."""
    columns = [getattr(TrailConfirmation, field) for field in Confirmation._fields]
    query = select(*columns).where(TrailConfirmation.log_id == log_id, TrailConfirmation.name == name)
    row = connection.execute(query.order_by(desc(TrailConfirmation.size)).limit(1)).one_or_none()
    return None if row is None else Confirmation(*row)


def store_confirmation(connection: Connection, log_id: str, confirmation: Confirmation) -> None:
    """Store a confirmation, in the place of an earlier one of the same checkpoint by the same."""
    same = (
        TrailConfirmation.log_id == log_id,
        TrailConfirmation.size == confirmation.size,
        TrailConfirmation.name == confirmation.name,
    )
    connection.execute(delete(TrailConfirmation).where(*same))
    connection.execute(insert(TrailConfirmation).values(log_id=log_id, **confirmation._asdict()))
