"""Where the pages have an event by itself."""

from flask import url_for

from audit_service.events.errors import ErrorItem
from audit_service.events.logins import LoginItem


def address_of(item: LoginItem | ErrorItem) -> str:
    """Return the URL of the page of a login, or of an error among those of its group."""
    if isinstance(item, LoginItem):
        return url_for("audit_pages.show_login", event_id=item.id)
    return url_for("audit_pages.show_error", fingerprint=item.fingerprint, event_id=item.id)
