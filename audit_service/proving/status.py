"""How far the proof of the history reaches: what the log, its checkpoints and those outside say. Reads a few rows."""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from sqlalchemy import Connection, select

from audit_service.proving.confirmations import Confirmation, read_confirmations
from audit_service.proving.log import read_checkpoint, read_log
from audit_service.storage.models import AdminEvent, ErrorEvent, LoginEvent, TrailHead


class LogState(StrEnum):
    """How the log is doing."""

    SIGNING = "signing"
    BEHIND = "behind"  # events wait for longer than they should: does a signer run?
    STOPPED = "stopped"  # the signer must not go on: somebody has to decide


class LogStatus(msgspec.Struct, frozen=True):
    """The log of a database as it is now; nothing of it is proven. Times are aware.

    ``events`` are those of the trail, ``signed`` of them are in the newest checkpoint, made at ``signed_at``; the
    oldest that is in none was stored at ``waiting_since``. ``detail`` says why the signer has stopped and what to do;
    it names files. ``confirmations`` has the newest of each who holds checkpoints outside, by their names.
    """

    origin: str
    log_id: str
    events: int
    signed: int
    signed_at: datetime | None
    waiting_since: datetime | None
    problem: str | None
    detail: str | None
    problem_at: datetime | None
    confirmations: list[Confirmation]

    @property
    def unsigned(self) -> int:
        """How many events are in no checkpoint yet."""
        return max(self.events - self.signed, 0)

    @property
    def confirmed(self) -> Confirmation | None:
        """The last confirmation from outside; None if there is none."""
        return max(self.confirmations, key=lambda each: each.confirmed_at, default=None)

    def state(self, now: datetime, patience: timedelta) -> LogState:
        """Return how it is doing; *patience* is how long an event may wait for its signature."""
        if self.problem:
            return LogState.STOPPED
        is_late = self.waiting_since is not None and now - self.waiting_since > patience
        return LogState.BEHIND if is_late else LogState.SIGNING


def read_status(connection: Connection) -> LogStatus | None:
    """Return the status of the log; None if the trail has none yet. Raises what SQLAlchemy raises."""
    log = read_log(connection)
    if log is None:
        return None
    checkpoint = read_checkpoint(connection, log.log_id)
    signed = checkpoint.size if checkpoint else 0
    return LogStatus(
        origin=log.origin,
        log_id=log.log_id,
        events=connection.scalar(select(TrailHead.size)) or 0,
        signed=signed,
        signed_at=checkpoint.signed_at if checkpoint else None,
        waiting_since=_stored_at(connection, signed + 1),
        problem=log.problem,
        detail=log.problem_detail,
        problem_at=log.problem_at,
        confirmations=read_confirmations(connection, log.log_id),
    )


def _stored_at(connection: Connection, seq: int) -> datetime | None:
    for model in (LoginEvent, ErrorEvent, AdminEvent):
        if found := connection.scalar(select(model.recorded_at).where(model.seq == seq)):
            return found
    return None
