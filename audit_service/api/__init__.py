"""The read-only JSON API."""

from audit_service.api import documentation  # noqa: F401 - adds its routes
from audit_service.api.views import blueprint

__all__ = ["blueprint"]
