"""How failures slow the next attempt to log in, read from the history itself: every process and machine sees the same.

The failures of a name from one network, and those of a network whatever the names, count for a window of time. From the
limit back, the wait halves with each failure that is missing: at the limit it is the window itself. The name's owner on
another network notices nothing.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session, scoped_session

from audit_service.models import LoginEvent
from audit_service.settings import Settings
from audit_service.usernames import ANY
from audit_service.vocabulary import Outcome, Reason

METHOD = "password"  # only attempts to guess one count
SHORTEST = timedelta(seconds=5)  # shorter waits are not worth an error: people type slower
RECORDED = 10  # refused attempts of a key, within a window, that are recorded one by one; further ones are counted


class Limits(msgspec.Struct, frozen=True):
    """How many failures are too many, within the window."""

    window: timedelta
    name: int
    network: int

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """Return the limits of the settings; masked names cannot be told apart, so they share the network's."""
        is_masked = settings.unknown_usernames == "mask"
        return cls(
            window=timedelta(seconds=settings.throttle_window),
            name=settings.throttle_network_limit if is_masked else settings.throttle_name_limit,
            network=settings.throttle_network_limit,
        )


class Refusal(msgspec.Struct, frozen=True):
    """An attempt that is not made: *username* (``*`` for any) is refused on this network until then."""

    username: str
    until: datetime
    is_counted: bool  # enough refusals of this key are in the history one by one


def find_refusal(
    session: Session | scoped_session[Any], network: str | None, username: str, limits: Limits, now: datetime
) -> Refusal | None:
    """Return why *username*, as it is stored, may not try a password from *network* now; null if it may."""
    query = (
        select(LoginEvent.timestamp, LoginEvent.username, LoginEvent.reason)
        .where(
            LoginEvent.outcome == Outcome.FAILURE.value,
            LoginEvent.network == network,
            LoginEvent.timestamp > now - limits.window,
            LoginEvent.method == METHOD,
        )
        .order_by(LoginEvent.timestamp.desc())
        .limit((limits.network + 1) * (RECORDED + 1))  # there are no more but by a race: the rest is refused or counted
    )
    rows = session.execute(query).all()
    of_name = [row for row in rows if row.username == username]
    for key, found, limit in ((username, of_name, limits.name), (ANY, rows, limits.network)):
        failures = [row.timestamp for row in found if row.reason != Reason.THROTTLED]
        until = _until(failures, limit, limits.window)
        if until > now:
            return Refusal(key, until, is_counted=len(found) - len(failures) >= RECORDED)
    return None


def _until(failures: list[datetime], limit: int, window: timedelta) -> datetime:
    """When the next attempt may be made, after these *failures*, the newest first."""
    missing = limit - len(failures)
    if not failures or missing <= 0:
        return failures[limit - 1] + window if failures else datetime.min.replace(tzinfo=UTC)
    wait = window / 2**missing
    return failures[0] + (wait if wait >= SHORTEST else timedelta())
