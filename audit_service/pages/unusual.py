"""What is unusual about a login of a user, in words: what was not seen before, and what came after failures."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from audit_service.events.logins import LoginItem
from audit_service.history.first_seen import first_uses
from audit_service.pages.devices import device
from audit_service.vocabulary import Action, Outcome
from audit_service.web.language import gettext, ngettext

SEEN = timedelta(days=90)  # what was not seen for so long is new
FAILURES = 3  # failures in a row that are worth a word


def remarks(session: Session, username: str, items: Sequence[LoginItem]) -> dict[UUID, list[str]]:
    """Return what is unusual, by the ids of those *items*, the newest first, that succeeded.

    A user's first login of all is not called unusual.
    """
    logins = [item for item in items if item.action == Action.LOGIN]
    successes = [item for item in logins if item.outcome == Outcome.SUCCESS]
    if not successes:
        return {}
    networks, devices = _first_uses(session, username, successes[-1].timestamp - SEEN)
    earliest = min(networks.values(), default=None)
    found: dict[UUID, list[str]] = {}
    for item in successes:
        words = found.setdefault(item.id, [])
        if item.timestamp == earliest:
            continue
        if item.network and networks.get(item.network) == item.timestamp:
            words.append(gettext("first login from this network in %(days)s days", days=SEEN.days))
        if item.user_agent and devices.get(device(item.user_agent)) == item.timestamp:
            words.append(gettext("first login with this kind of device in %(days)s days", days=SEEN.days))
        if (count := _failures_before(item, logins)) >= FAILURES:
            words.append(ngettext("after %(number)s failure", "after %(number)s failures", count))
    return found


def _first_uses(session: Session, username: str, since: datetime) -> tuple[dict[str, datetime], dict[str, datetime]]:
    """Return when the user first logged in from each network and with each kind of device."""
    networks: dict[str, datetime] = {}
    devices: dict[str, datetime] = {}
    for network, user_agent, first in first_uses(session, username, since):
        for key, known in ((network, networks), (device(user_agent), devices)):
            if key:
                known[key] = min(first, known.get(key, first))
    return networks, devices


def _failures_before(login: LoginItem, logins: Sequence[LoginItem]) -> int:
    """Return how many failures came directly before *login*."""
    earlier = logins[[item.id for item in logins].index(login.id) + 1 :]
    count = 0
    for item in earlier:
        if item.outcome == Outcome.SUCCESS:
            break
        count += 1
    return count
