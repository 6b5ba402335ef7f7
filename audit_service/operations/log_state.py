"""The state of the log, in words for people and as a part of ``GET /readyz``."""

from datetime import datetime, timedelta
from typing import Any

from audit_service.proving.status import LogStatus
from audit_service.settings.table import Settings
from audit_service.values.when import ago

GRACE = timedelta(minutes=1)  # that a signature may be late


def patience(settings: Settings) -> timedelta:
    """Return how long an event may wait for its signature: the interval of the signer, and a minute."""
    return timedelta(seconds=settings.sign_interval) + GRACE


def log_lines(status: LogStatus, now: datetime) -> dict[str, str]:
    """Return what there is to know of the log, by name, for those who run the service."""
    size = f"{status.signed:,} of {status.events:,} events"
    unsigned = f"{status.unsigned:,} events"
    if status.waiting_since:
        unsigned += f", the oldest stored {ago(status.waiting_since, now)}"
    lines = {
        "log": status.origin,
        "checkpoint": f"{size}, signed {ago(status.signed_at, now)}" if status.signed_at else "none yet",
        "not signed": unsigned,
    }
    if status.problem:
        since = f", since {ago(status.problem_at, now)}" if status.problem_at else ""
        lines["signer"] = f"stopped ({status.problem}{since}): {status.detail}"
    for each in status.confirmations:
        lines[f"outside: {each.name}"] = f"has the checkpoint of {each.size:,} events, {ago(each.confirmed_at, now)}"
    if not status.confirmations:
        lines["outside"] = "nobody has a checkpoint (AUDIT_CHECKPOINT_HOOK, AUDIT_STAMP_URL, AUDIT_WITNESSES)"
    return lines


def log_part(status: LogStatus | None, now: datetime, patience: timedelta) -> dict[str, Any] | str:
    """Return the state of the log for everybody: ages in seconds, no names, no paths.

    An event may wait for *patience* until it is signed.
    """
    if status is None:
        return "none"
    return {
        "state": status.state(now, patience).value,
        "problem": status.problem,
        "unsigned": status.unsigned,
        "oldest_unsigned_age": age(status.waiting_since, now),
        "checkpoint_age": age(status.signed_at, now),
        "confirmation_age": age(status.confirmed and status.confirmed.confirmed_at, now),
    }


def age(time: datetime | None, now: datetime) -> float | None:
    """Return how many seconds ago *time* was, None for None; at least 0: the clocks of machines differ."""
    return None if time is None else round(max((now - time).total_seconds(), 0.0), 3)
