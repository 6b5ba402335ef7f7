"""The read-only JSON API."""

from audit_service.api.views import blueprint

__all__ = ["blueprint"]
