"""What pages tell of the log: how far the history is proven, since when an event is, and that the signer has stopped.

It is what the database says. Who does not trust it verifies the history.
"""

import time
from datetime import UTC, datetime
from typing import NamedTuple

from flask import current_app

from audit_service.context import current_context, read_session
from audit_service.operations.log_state import patience
from audit_service.proving.proven import Proven, proven
from audit_service.proving.status import LogState, LogStatus, read_status

GOOD_FOR = 2.0  # seconds that what is known of the log is shown
_KNOWN = "audit_service.pages.proofs"


class Reach(NamedTuple):
    """How far the history is proven, and how the signer is doing."""

    status: LogStatus
    state: LogState


def reach() -> Reach | None:
    """Return how far the history is proven, None without a log. A process asks every ``GOOD_FOR`` seconds at most."""
    good_until, found = current_app.extensions.get(_KNOWN, (0.0, None))
    if time.monotonic() > good_until:
        status = read_status(read_session().connection())
        late = patience(current_context().settings)
        found = status and Reach(status, status.state(datetime.now(UTC), late))
        current_app.extensions[_KNOWN] = time.monotonic() + GOOD_FOR, found
    known: Reach | None = found
    return known


def proof_of(seq: int) -> Proven | None:
    """Return since when the event at *seq* is proven, None if it is not, or if there is no log."""
    known = reach()
    return known and proven(read_session().connection(), known.status.log_id, seq)
