"""How failures slow the next attempt to log in, read from the history itself: every process and machine sees the same.

The failures of a name from one network, and those of a network whatever the names, count for a window of time. From the
limit back, the wait halves with each failure that is missing: at the limit it is the window itself. The name's owner on
another network notices nothing.

An admin can lift that for a name, on one network or on all: failures until then do not count against this name any
more, neither its own nor those of others on the network. The event that tells of it is what lifts it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_interface
from typing import Any

import msgspec
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from audit_service.errors import AccountError
from audit_service.events.admin import Actor
from audit_service.events.request_info import network_of
from audit_service.events.usernames import ANY
from audit_service.settings.table import Settings
from audit_service.storage.models import Account, AdminEvent, LoginEvent
from audit_service.trail.append import append_within
from audit_service.vocabulary import AdminAction, Method, Outcome, Reason
from audit_service.web.language import gettext

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


class Lift(msgspec.Struct, frozen=True):
    """What an admin has lifted at a time: for *username*, on this network, or on all if it is None."""

    at: datetime
    username: str
    network: str | None

    def is_for(self, network: str | None, username: str) -> bool:
        """Tell whether it is for attempts of *username* from *network*."""
        return self.username == username and self.network in (None, network)


def lift(session: Session, account: Account, network: str | None, *, by: Actor) -> str | None:
    """Let failures until now not count against the account's name, on *network* or on all; the caller commits.

    The network is told by an address in it, or with its prefix length. Returns the network (/24, of IPv6 /64); raises
    ``AccountError`` for what is none. Other processes know of it within seconds.
    """
    whole = None if network is None else _network(network)
    lifted = by.did(AdminAction.THROTTLE_LIFTED, account.username, {"network": whole})
    append_within(session.connection(), [lifted])
    return whole


def find_lifts(session: Session, since: datetime) -> list[Lift]:
    """Return what was lifted after then, in no order. It reads the admin events of that time, by their index."""
    query = select(AdminEvent.timestamp, AdminEvent.target, AdminEvent.details).where(
        AdminEvent.timestamp > since, AdminEvent.action == AdminAction.THROTTLE_LIFTED.value
    )
    return [Lift(at, target or "", (details or {}).get("network")) for at, target, details in session.execute(query)]


def _network(text: str) -> str:
    try:
        given = ip_interface(text.strip())
    except ValueError:
        raise AccountError(gettext("%(given)r is no address and no network", given=text[:50])) from None
    whole = network_of(str(given.ip)) or ""
    if "/" in text and str(given.network) != whole:
        raise AccountError(
            gettext("logins are counted by /24, of IPv6 by /64: name %(network)s, or an address in it", network=whole)
        )
    return whole


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
    key, until = _longest_wait(failures, username, limits)
    if until <= now:
        return None
    lifted = [each.at for each in find_lifts(session, since) if each.is_for(network, username)]
    if lifted:
        key, until = _longest_wait([row for row in failures if row.timestamp > max(lifted)], username, limits)
        if until <= now:
            return None
    is_refusal = [*is_failure, LoginEvent.reason == Reason.THROTTLED.value]
    if key != ANY:
        is_refusal.append(LoginEvent.username == username)
    recorded = session.execute(select(LoginEvent.id).where(*is_refusal).limit(RECORDED)).all()
    return Refusal(key, until, is_counted=len(recorded) == RECORDED)


def _longest_wait(failures: Sequence[Any], username: str, limits: Limits) -> tuple[str, datetime]:
    """Return whether *username* or its network has to wait longer, and until when, after *failures*, newest first."""
    of_name = [row.timestamp for row in failures if row.username == username]
    untils = {
        username: next_attempt(of_name, limits.name, limits.window),
        ANY: next_attempt([row.timestamp for row in failures], limits.network, limits.window),
    }
    return max(untils.items(), key=lambda item: item[1])


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
