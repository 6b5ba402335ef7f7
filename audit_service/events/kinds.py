"""The kinds of events that there are. Within a batch the trail stores them in this order."""

from audit_service.events.admin import ADMIN_EVENTS
from audit_service.events.errors import ERRORS
from audit_service.events.logins import LOGINS

KINDS = (LOGINS, ERRORS, ADMIN_EVENTS)
KIND_OF = {kind.new: kind for kind in KINDS}
KIND_NAMED = {kind.name: kind for kind in KINDS}
