"""What has been told of the current request's logins: by the app's signals, and by the libraries that log in for it."""

from dataclasses import dataclass, field
from typing import Any

from flask import g, has_app_context

from audit_service.vocabulary import Action, Outcome

_TOLD = "login_audit_told"

What = tuple[Action, Outcome]


@dataclass
class Told:
    """One request's: what is recorded, and what is to be recorded at its end unless it is by then."""

    recorded: set[What] = field(default_factory=set)
    pending: dict[What, dict[str, Any]] = field(default_factory=dict)


def told() -> Told:
    """Return what has been told in the current app context; outside of one, nothing has."""
    if not has_app_context():
        return Told()
    if _TOLD not in g:
        setattr(g, _TOLD, Told())
    found: Told = getattr(g, _TOLD)
    return found
