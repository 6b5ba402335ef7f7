"""The read-only JSON API, and the files of the log."""

from audit_service.api import documentation, figures, log_files, proofs, timeline, views  # noqa: F401 - add their routes
from audit_service.api.operations import blueprint, log_blueprint
from audit_service.api.views import EVERY_METHOD, not_here

__all__ = ["EVERY_METHOD", "blueprint", "log_blueprint", "not_here"]
