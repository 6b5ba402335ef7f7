"""The read-only JSON API."""

from audit_service.api import documentation, figures, views  # noqa: F401 - add their routes
from audit_service.api.operations import blueprint

__all__ = ["blueprint"]
