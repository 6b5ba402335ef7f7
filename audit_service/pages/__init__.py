"""The pages on which people read the history. They ask through the same functions as the API."""

from audit_service.pages import activity, errors, logins
from audit_service.pages.blueprint import blueprint

__all__ = ["activity", "blueprint", "errors", "logins"]
