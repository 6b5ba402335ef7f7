"""What is known of the current request so far: its logins, told by the app or by adapters, and its last error."""

from dataclasses import dataclass, field
from typing import Any

from flask import Flask, has_request_context
from flask.globals import request_ctx

from audit_service.events import request_info
from audit_service.vocabulary import Action, Outcome

_TOLD = "audit_service.told"

What = tuple[Action, Outcome]


@dataclass
class Told:
    """The logins and the last error of one request.

    ``recorded`` has what is stored. ``pending`` has the arguments of the signals to send at the end of the request, by
    what has happened and the username; ``defaults`` are arguments that each of them gets, unless it has its own.
    """

    recorded: set[What] = field(default_factory=set)
    pending: dict[tuple[What, str], dict[str, Any]] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    last_error: BaseException | None = None  # not all: each holds its frames

    def tells_of(self, what: What) -> bool:
        """Tell whether *what* has happened in the request: it is recorded or pending."""
        return what in self.recorded or any(pending == what for pending, _username in self.pending)


def told(app: Flask | None = None) -> Told:
    """Return what has been told in the current request of *app*, by default of the app whose request it is.

    Outside of a request, nothing has. It is kept with the request: an app context can last for several.
    """
    if not has_request_context():
        return Told()
    key = f"{_TOLD}.{id(app or request_ctx.app)}"
    found: Told = request_info.real_request().environ.setdefault(key, Told())
    return found
