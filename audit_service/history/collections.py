"""The three collections of events: their names, what an item is, what may be asked, and who may ask."""

import msgspec

from audit_service.history.filters import AdminFilters, ErrorFilters, EventFilters, LoginFilters
from audit_service.history.items import AdminItem, ErrorItem, LoginItem


class Collection(msgspec.Struct, frozen=True):
    """Events of one kind."""

    name: str
    item: type[LoginItem | ErrorItem | AdminItem]
    filters: type[EventFilters]
    what: str
    auditors_only: bool = True


LOGINS = Collection("logins", LoginItem, LoginFilters, "logins, failed logins and logouts", auditors_only=False)
ERRORS = Collection("errors", ErrorItem, ErrorFilters, "unhandled exceptions")
ADMIN_EVENTS = Collection(
    "admin-events", AdminItem, AdminFilters, "changes of accounts and tokens, looks at the history, starts and stops"
)
COLLECTIONS = (LOGINS, ERRORS, ADMIN_EVENTS)
