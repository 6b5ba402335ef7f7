"""What goes out of the machine, and what an outlet for it is: the hook, a witness, or a time-stamping authority."""

import threading
from typing import NamedTuple, Protocol

from audit_service.proving.confirmations import Confirmation


class Offer(NamedTuple):
    """A checkpoint that the signer stands for."""

    log_id: str
    size: int
    note: bytes


class Outlet(Protocol):
    """Somebody outside who takes checkpoints. For one thread."""

    name: str
    interval: float  # seconds between two checkpoints that it takes, at least
    is_asked_at_start: bool  # whether it gets a checkpoint when the signer starts, even if it has it already
    is_repeated: bool  # whether it gets the newest checkpoint once more after a day without a newer one

    def take(self, offer: Offer, last: Confirmation | None, stopping: threading.Event) -> str | None:
        """Hand a checkpoint over, and return the cosignature or the time stamp if there is one.

        *last* is what it has taken before. Ends early when *stopping* is set. Raises ``PublishError`` if it cannot take
        it now, ``SignerStopped`` if it knows another history.
        """
