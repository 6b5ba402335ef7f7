"""Looks at the history as admin events: one for each reader, question and minute, so that a poller floods nothing."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from audit_service.errors import AuditUnavailable
from audit_service.events.admin import NewAdmin
from audit_service.values.details import normal_details

FOLD = timedelta(minutes=1)
_WHICH_PART = ("cursor", "before", "limit", "column")  # of the result, and of each event
BEGIN = 1000  # bytes of a question that is too long to be kept
REMEMBERED = 10_000  # looks that a process remembers to have recorded


class Accesses:
    """Records looks, each once a minute: every process makes the same id, and storing it again is nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recorded: OrderedDict[UUID, None] = OrderedDict()

    def record(self, event: NewAdmin, record: Callable[[NewAdmin], object]) -> None:
        """Hand *event* to *record*, unless one like it was recorded in this minute.

        What cannot be recorded is on stderr (see ``Recorder``), and reading goes on: the history is needed most when
        something is broken.
        """
        folded = msgspec.structs.replace(event, id=folded_id(event))
        with self._lock:
            if folded.id in self._recorded:
                return
        try:
            record(folded)
        except AuditUnavailable:
            return
        with self._lock:
            self._recorded[folded.id] = None
            if len(self._recorded) > REMEMBERED:
                self._recorded.popitem(last=False)


def folded_id(event: NewAdmin) -> UUID:
    """Return the UUIDv7 (RFC 9562) of the event's minute whose other bits say who did what to which."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    minute = (event.timestamp - epoch) // FOLD
    same: list[Any] = [minute, event.app, event.actor, event.action, event.target, event.details]
    number = int.from_bytes(hashlib.sha256(msgspec.json.encode(same)).digest()[:16])
    number &= (1 << 80) - 1
    number |= (minute * FOLD // timedelta(milliseconds=1)) << 80
    number = number & ~(0xF << 76) | 7 << 76  # the version
    number = number & ~(0x3 << 62) | 2 << 62  # the variant
    return UUID(int=number)


def question_details(question: dict[str, list[str]]) -> dict[str, Any] | None:
    """Return the details of a look: the parameters of its *question*, but not which part of the result it was.

    Of a question that is longer than an event may be these are the names of the parameters, the SHA-256 of the whole as
    JSON (names sorted, no spaces, UTF-8), and the beginning of that JSON: padding hides no question.
    """
    asked = {name: list(values) for name, values in sorted(question.items()) if values and name not in _WHICH_PART}
    try:
        return normal_details(asked)
    except ValueError:  # a list of names, perhaps
        whole = msgspec.json.encode(asked)
        begin = whole[:BEGIN].decode(errors="ignore")  # cut between characters
        return normal_details(
            {"parameters": sorted(asked), "sha256": hashlib.sha256(whole).hexdigest(), "begin": begin}
        )
