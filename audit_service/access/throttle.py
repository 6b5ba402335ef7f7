"""How failures slow the next attempt to log in, read from the history itself: every process and machine sees the same.

The failures of a name from one network, and those of a network whatever the names, count for a window of time. From the
limit back, the wait halves with each failure that is missing: at the limit it is the window itself. The name's owner on
another network notices nothing.
"""

from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from audit_service.events.usernames import ANY
from audit_service.settings.table import Settings
from audit_service.storage.models import LoginEvent
from audit_service.vocabulary import Method, Outcome, Reason

SHORTEST = timedelta(seconds=5)  # shorter waits are not worth an error: people type slower
_NO_GUESSES = (Reason.THROTTLED.value, Reason.PROVIDER_ERROR.value)  # no password was checked
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


def find_refusal(session: Session, network: str | None, username: str, limits: Limits, now: datetime) -> Refusal | None:
    """Return why *username*, as it is stored, may not try a password from *network* now; None if it may."""
    since = now - limits.window
    is_failure = [
        LoginEvent.outcome == Outcome.FAILURE.value,
        LoginEvent.network == network,
        # As a pair, so that the network's index is read, and never all that happened everywhere within the window.
        LoginEvent.timestamp > since
        if network is None
        else tuple_(LoginEvent.network, LoginEvent.timestamp) > tuple_(network, since),
        LoginEvent.method == Method.PASSWORD.value,  # only attempts to guess one count
    ]
    failures = session.execute(
        select(LoginEvent.timestamp, LoginEvent.username)
        .where(*is_failure, LoginEvent.reason.not_in(_NO_GUESSES))
        .order_by(LoginEvent.timestamp.desc())
        .limit(limits.network)
    ).all()
    of_name = [row.timestamp for row in failures if row.username == username]
    untils = {
        username: next_attempt(of_name, limits.name, limits.window),
        ANY: next_attempt([row.timestamp for row in failures], limits.network, limits.window),
    }
    key, until = max(untils.items(), key=lambda item: item[1])
    if until <= now:
        return None
    is_refusal = [*is_failure, LoginEvent.reason == Reason.THROTTLED.value]
    if key != ANY:
        is_refusal.append(LoginEvent.username == username)
    recorded = session.execute(select(LoginEvent.id).where(*is_refusal).limit(RECORDED)).all()
    return Refusal(key, until, is_counted=len(recorded) == RECORDED)


def next_attempt(failures: list[datetime], limit: int, window: timedelta) -> datetime:
    """Return when the next attempt may be made after these *failures*, the newest first; they leave the window in time.

    While n failures are within the window, it has to wait for window/2^(limit - n) after the newest one.
    """
    if not failures:
        return datetime.min.replace(tzinfo=UTC)
    newest = failures[0]
    times = []
    for count in range(min(len(failures), limit - 1) + 1):
        only_so_many = failures[count] + window if count < len(failures) else newest
        wait = window / 2 ** (limit - count)
        times.append(max(only_so_many, newest + (wait if wait >= SHORTEST else timedelta())))
    return min(times)
