"""What has been told of the current request: its logins, by the app or by libraries, and its errors."""

from dataclasses import dataclass, field
from typing import Any

from flask import has_request_context

from audit_service.events import request_info
from audit_service.vocabulary import Action, Outcome

_TOLD = "audit_service.told"

What = tuple[Action, Outcome]


@dataclass
class Told:
    """One request's: what is recorded, and what is to be recorded at its end unless it is by then.

    ``pending`` has the arguments of a signal, by what happened and to whom. ``known`` are arguments for all of them:
    what is known of the request before it is known who logs in.
    """

    recorded: set[What] = field(default_factory=set)
    pending: dict[tuple[What, str], dict[str, Any]] = field(default_factory=dict)
    known: dict[str, Any] = field(default_factory=dict)
    last_error: BaseException | None = None  # not all: each holds its frames

    def tells_of(self, what: What) -> bool:
        """Tell whether the request did *what*, whoever says so."""
        return what in self.recorded or any(pending == what for pending, _username in self.pending)


def told() -> Told:
    """Return what has been told in the current request; outside of one, nothing has.

    It is kept with the request: an app context can last for several.
    """
    if not has_request_context():
        return Told()
    found: Told = request_info.real_request().environ.setdefault(_TOLD, Told())
    return found
