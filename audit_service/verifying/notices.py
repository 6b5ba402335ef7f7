"""What events say of the whole history, which is compared with what it is."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from audit_service.proving.rows import Event
from audit_service.verifying.findings import Code, Finding, table_name
from audit_service.vocabulary import AdminAction

CLOCK_BACK = timedelta(seconds=60)  # by which a later event may be recorded earlier, before it is worth a note


class Notice(NamedTuple):
    """What an admin event says of the events that were erased from; nothing if it says it in no right form."""

    groups: Sequence[str] = ()
    rows: int = 0
    digest: str = ""


class Notices:
    """Keeps what the events of a block say. They are added in the order of ``seq``.

    ``erasures``: what was erased, and ``restarts``: the origins of logs that were begun anew, each by the ``seq`` of
    the event that says so.
    """

    def __init__(self, find: Callable[[Finding], None]) -> None:
        """Begin with nothing. What is wrong is given to *find*."""
        self._find = find
        self._latest = ""
        self.erasures: dict[int, Notice] = {}
        self.restarts: dict[int, str] = {}

    def add(self, event: Event) -> None:
        """Add what an event says."""
        recorded_at = event.recorded_at
        if recorded_at >= self._latest:
            self._latest = recorded_at
        elif _is_long_before(recorded_at, self._latest):
            words = f"the event {event.seq} was recorded at {recorded_at}, after one that was at {self._latest}"
            self._find(Finding(Code.CLOCK_BACK, words, seq=event.seq, table=table_name(event)))
            self._latest = recorded_at  # one clock that was wrong is one finding
        if event.form.kind == "admin":
            match event.action:
                case AdminAction.PERSONAL_DATA_ERASED:
                    self.erasures[event.seq] = _notice(event)
                case AdminAction.LOG_RESTARTED:
                    self.restarts[event.seq] = str(_told(event, "target"))


def _is_long_before(one: str, other: str) -> bool:
    try:
        return datetime.fromisoformat(other) - datetime.fromisoformat(one) > CLOCK_BACK
    except ValueError:  # one of them is no time, and its event not the one that was signed
        return False


def _notice(event: Event) -> Notice:
    match _told(event, "details"):
        case {"groups": list(groups), "rows": int(rows), "digest": str(digest)}:
            return Notice(tuple(map(str, groups)), rows, digest)
    return Notice()


def _told(event: Event, name: str) -> Any:
    """Return a field of who; None if that is no JSON object with it, which a bundle may have there."""
    try:
        return json.loads(event.who)[name]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
