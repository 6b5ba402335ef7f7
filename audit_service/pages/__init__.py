"""The pages on which people read the history, by the same functions as the API, and admins manage the service."""

from audit_service.pages import activity, changes, errors, logins
from audit_service.pages.blueprint import blueprint

__all__ = ["activity", "blueprint", "changes", "errors", "logins"]
