"""Places for exports in one process: few for each viewer, and those of users apart from those of auditors."""

import os
import threading
from weakref import WeakSet

from werkzeug.exceptions import ServiceUnavailable

from audit_service.access.viewer import SEES_ALL
from audit_service.context import Viewer

EACH = 2  # of one viewer: each holds a thread of the server
AT_ONCE = 4  # of users, and as many of auditors, admins and tokens: each holds a connection to the database
RETRY_AFTER = 10  # seconds


class Place:
    """The right to export. It ends with ``leave``, or when nothing refers to it any more."""

    def __init__(self, viewer: Viewer) -> None:
        self.name = viewer.name
        self.sees_all = viewer.role in SEES_ALL
        self.has_connection = True

    def leave(self) -> None:
        """Give up the place."""
        with _lock:
            _taken.discard(self)


def take_place(viewer: Viewer) -> Place:
    """Return a place for *viewer*; raise ``ServiceUnavailable`` (503) when too many are taken.

    A place that has given up its connection counts for its viewer only: other viewers need not wait for it.
    """
    place = Place(viewer)
    with _lock:
        alike = [other for other in _taken if other.sees_all == place.sees_all]
        if sum(other.name == place.name for other in alike) >= EACH:
            raise _refusal(f"you have {EACH} exports open already")
        if sum(other.has_connection for other in alike) >= AT_ONCE:
            whose = "auditors, admins and tokens" if place.sees_all else "users"
            raise _refusal(f"{AT_ONCE} exports of {whose} run already")
        _taken.add(place)
    return place


def _refusal(what: str) -> ServiceUnavailable:
    return ServiceUnavailable(f"{what}; please try again when one of them is done", retry_after=RETRY_AFTER)


_lock = threading.Lock()
_taken: WeakSet[Place] = WeakSet()


def _renew() -> None:
    """In a forked child, which goes on with no export of its parent."""
    global _lock, _taken
    _lock, _taken = threading.Lock(), WeakSet()


os.register_at_fork(after_in_child=_renew)
