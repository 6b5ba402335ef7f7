"""The read-only JSON API."""

from audit_service.api import documentation, figures, timeline, views  # noqa: F401 - add their routes
from audit_service.api.operations import blueprint
from audit_service.api.views import EVERY_METHOD, not_here

__all__ = ["EVERY_METHOD", "blueprint", "not_here"]
