"""The kinds of events that there are. Within a batch the trail stores them in this order."""

from enum import StrEnum

from audit_service.events.admin import ADMIN_EVENTS
from audit_service.events.errors import ERRORS
from audit_service.events.logins import LOGINS


class KindName(StrEnum):
    """The name of a kind of event."""

    LOGIN = LOGINS.name
    ERROR = ERRORS.name
    ADMIN = ADMIN_EVENTS.name


KINDS = (LOGINS, ERRORS, ADMIN_EVENTS)
KIND_OF = {kind.new: kind for kind in KINDS}
KIND_NAMED = {kind.name: kind for kind in KINDS}
