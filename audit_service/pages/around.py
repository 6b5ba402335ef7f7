"""What happened around an event: events that have something in common with it, and lie near to it."""

from typing import Any

from audit_service.context import read_session
from audit_service.events.base import Kind
from audit_service.events.errors import ERRORS, ErrorItem
from audit_service.events.logins import LOGINS, LoginFilters, LoginItem
from audit_service.history.query import list_events
from audit_service.history.question import Order, Question
from audit_service.vocabulary import Action, Outcome

NEAR = 5  # events on each side
Around = tuple[str, str, list[Any]]  # a filter, its value, and events that match, the newest first


def logins_around(item: LoginItem, owner: str | None) -> list[Around]:
    """Return the logins near *item* of the same user, network and request; with *owner*, only those of this user."""
    shared = {"username": item.username, "remote_addr": item.network or item.remote_addr, "request_id": item.request_id}
    return [(name, value, _near(LOGINS, name, value, item, owner)) for name, value in shared.items() if value]


def errors_around(item: LoginItem) -> list[Around]:
    """Return the errors near *item* of the same request, and of the same user."""
    shared = {"request_id": item.request_id, "username": item.username}
    found = [(name, value, _near(ERRORS, name, value, item, None)) for name, value in shared.items() if value]
    return [each for each in found if each[2]]


def logins_of(error: ErrorItem) -> list[tuple[str, LoginItem]]:
    """Return the logins that an *error* belongs to, each after the name of what they share.

    Those of its request, and the last login of the session's user before it.
    """
    found: list[tuple[str, LoginItem]] = []
    if error.request_id:
        same = LoginFilters(request_id=[error.request_id])
        found += [("request_id", login) for login in _list(LOGINS, same, Order.OLDEST, None)]
    if error.username:
        last = LoginFilters(
            username=[error.username], action=[Action.LOGIN], outcome=[Outcome.SUCCESS], until=error.timestamp
        )
        found += [("username", login) for login in _list(LOGINS, last, Order.NEWEST, None, limit=1)]
    return found


def _near(kind: Kind, name: str, value: str, item: LoginItem, owner: str | None) -> list[Any]:
    near = []
    for side, order in (("since", Order.OLDEST), ("until", Order.NEWEST)):
        given: dict[str, Any] = {name: [value], side: item.timestamp}
        near += _list(kind, kind.filters(**given), order, owner, limit=NEAR + 1)
    others = {each.id: each for each in near if each.id != item.id}
    return sorted(others.values(), key=lambda each: (each.timestamp, each.seq), reverse=True)


def _list(kind: Kind, filters: Any, order: Order, owner: str | None, limit: int = NEAR) -> list[Any]:
    question = Question(kind=kind, filters=filters, order=order, owner=owner)
    return list_events(read_session(), question, limit=limit)[0]
