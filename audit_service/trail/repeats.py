"""Error events that come again and again: the first few of a fingerprint are stored, of the others one event tells."""

import logging
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from audit_service.errors import AuditUnavailable
from audit_service.events.errors import NewError
from audit_service.trail.recorder import Recorder
from audit_service.values.flood import Flood, Flooded

logger = logging.getLogger("audit_service")

WINDOW = timedelta(minutes=15)


class Bug(NamedTuple):
    """What errors that come again and again have in common."""

    fingerprint: str
    exception_type: str


_OTHERS = Bug("others", "Exception")  # of more bugs than are told apart


class Repeats:
    """Keeps errors that any client can provoke from filling the trail, the spool or the disk.

    The counts are in memory: a process that is killed takes along those of windows that are not over.
    """

    def __init__(self, recorder: Recorder, app_name: str) -> None:
        """Count for the app of that name. What *recorder* does now and then, and at its end, is to tell."""
        self._recorder = recorder
        self._app_name = app_name
        self._flood: Flood[Bug] = Flood(WINDOW)
        recorder.add_chore(self.tell)
        recorder.at_stop(self.tell_all)

    def admit(self, bug: Bug) -> bool:
        """Tell whether an error of this *bug* that happens now is to be stored; else it is counted."""
        now = datetime.now(UTC)
        self._record(self._flood.take_due(now))
        return self._flood.admit(bug, now)

    def tell(self) -> None:
        """Record what was counted in windows that are over."""
        self._record(self._flood.take_due(datetime.now(UTC)))

    def tell_all(self) -> None:
        """Record what was counted, also in windows that are not over."""
        self._record(self._flood.take_due(datetime.now(UTC) + WINDOW))

    def _record(self, counted: list[Flooded[Bug]]) -> None:
        for bug, count, first, last in counted:
            try:  # one by one: a list might have to wait for others, and be refused
                self._recorder.record(self._event(bug or _OTHERS, count, first, last))
            except AuditUnavailable:  # it is on stderr
                logger.exception("the count of repeated errors could not be recorded")

    def _event(self, bug: Bug, count: int, first: datetime, last: datetime) -> NewError:
        times = " and ".join(time.isoformat(timespec="seconds").replace("+00:00", "Z") for time in (first, last))
        return NewError(
            timestamp=last,
            app=self._app_name,
            exception_type=bug.exception_type,
            message=f"… and {count:,} more of this kind between {times}",
            traceback="",
            fingerprint=bug.fingerprint,
        )
