"""The log of a database: its name, its size, its newest checkpoint. All of it can be forged; see ``verifying``."""

import secrets
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, desc, insert, select, update

from audit_service.proofs.merkle import EMPTY_ROOT
from audit_service.storage.log_models import TrailCheckpoint, TrailLog

NO_LOG = "the trail has no log yet: run 'audit-service trail init'"


class Log(NamedTuple):
    """The row of ``trail_log``."""

    origin: str
    log_id: str
    created_at: datetime
    size: int
    root: bytes
    floor: int
    declared: int
    problem: str | None
    problem_detail: str | None
    problem_at: datetime | None


class StoredCheckpoint(NamedTuple):
    """A checkpoint as it is stored, and when it was signed."""

    size: int
    signed_at: datetime
    note: bytes


def read_log(connection: Connection) -> Log | None:
    """Return the log, None if there is none yet."""
    columns = [getattr(TrailLog, name) for name in Log._fields]
    row = connection.execute(select(*columns)).one_or_none()
    return None if row is None else Log(*row)


def lock_log(connection: Connection) -> int:
    """Return the size of the log, 0 without one. Until the transaction ends nobody begins a new log, or erases.

    On SQLite the caller's transaction begins as a writer.
    """
    return connection.scalar(select(TrailLog.size).with_for_update()) or 0


def new_log_id() -> str:
    """Return a new random id of a log."""
    return secrets.token_hex(8)


def add_log(connection: Connection, origin: str, log_id: str, *, declared: int = 0) -> None:
    """Store a log that is empty yet; raise ``IntegrityError`` if there is one."""
    now = datetime.now(UTC)
    values = {"id": 1, "created_at": now, "size": 0, "root": EMPTY_ROOT, "floor": 0, "declared": declared}
    connection.execute(insert(TrailLog).values(origin=origin, log_id=log_id, **values))


def note_problem(connection: Connection, log_id: str, problem: str | None, detail: str | None) -> None:
    """Store why the signer has stopped; None when it works again."""
    values = {"problem": problem, "problem_detail": detail, "problem_at": datetime.now(UTC) if problem else None}
    connection.execute(update(TrailLog).where(TrailLog.log_id == log_id).values(**values))


def read_checkpoint(connection: Connection, log_id: str, size: int | None = None) -> StoredCheckpoint | None:
    """Return the newest checkpoint of a log, or the one of *size*; None if there is none."""
    query = select(TrailCheckpoint.size, TrailCheckpoint.signed_at, TrailCheckpoint.note)
    query = query.where(TrailCheckpoint.log_id == log_id)
    if size is not None:
        query = query.where(TrailCheckpoint.size == size)
    row = connection.execute(query.order_by(desc(TrailCheckpoint.size)).limit(1)).one_or_none()
    return None if row is None else StoredCheckpoint(row.size, row.signed_at, row.note.encode())
