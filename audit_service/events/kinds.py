"""The kinds of events that there are. Within a batch the trail stores them in this order."""

from enum import StrEnum
from typing import Any

from audit_service.events.admin import ADMIN_EVENTS
from audit_service.events.errors import ERRORS
from audit_service.events.logins import LOGINS
from audit_service.proofs.entry import FORMS


class KindName(StrEnum):
    """The name of a kind of event."""

    LOGIN = LOGINS.name
    ERROR = ERRORS.name
    ADMIN = ADMIN_EVENTS.name


KINDS = (LOGINS, ERRORS, ADMIN_EVENTS)
KIND_OF = {kind.new: kind for kind in KINDS}
KIND_NAMED = {kind.name: kind for kind in KINDS}


def erased_fields(item: Any) -> tuple[str, ...]:
    """Return the fields of *item*, an event as readers see it, that are null because it was erased who it was."""
    kind = next(kind for kind in KINDS if isinstance(item, kind.item))
    return FORMS[kind.name].who if getattr(item, kind.null_if_erased) is None else ()
