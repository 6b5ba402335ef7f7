"""Following the history: what is stored comes out at once, in the order of arrival, until somebody ends it."""

import contextlib
import select
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine
from sqlalchemy import select as query
from sqlalchemy.orm import Session

from audit_service.cli.show import View
from audit_service.history.cursor import Position, arrived
from audit_service.history.question import Order
from audit_service.storage.models import TrailHead

BEFORE = 10  # events of before that come first, unless another number is asked for
EVERY = 1.0  # seconds
AT_ONCE = 1000  # events

Ask = Callable[[Session, Order, int, Position | None], tuple[list[Any], Position | None]]


def follow(engine: Engine, ask: Ask, view: View, *, before: int) -> None:
    """Print the last events that match, and then each as it is stored. Ends at Ctrl-C, or when the reader leaves.

    Each look has a transaction of its own, else SQLite would show the same state for ever.
    """
    with contextlib.suppress(KeyboardInterrupt):
        with Session(engine) as session:
            size = session.execute(query(TrailHead.size)).scalar_one()
            earlier, _ = ask(session, Order.NEWEST, before, None)
        view.events([item for item in reversed(earlier) if item.seq <= size], datetime.now(UTC))
        position = arrived(size)
        while _reader_stays(EVERY):
            items = None
            while items is None or len(items) == AT_ONCE:
                with Session(engine) as session:
                    items, after = ask(session, Order.ARRIVAL, AT_ONCE, position)
                position = after or position
                view.events(items, datetime.now(UTC), has_heading=False)


def _reader_stays(seconds: float) -> bool:
    """Wait, and return False at once when nobody reads our output any more."""
    sys.stdout.flush()
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)  # errors and hang-ups are told always
    return not poll.poll(seconds * 1000)
