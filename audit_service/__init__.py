"""A login audit trail for Flask.

The names below are imported when they are first used, so that ``import audit_service`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit_service.adapters.decorator import audit_login
    from audit_service.adapters.log_handler import AuditHandler
    from audit_service.app import create_app
    from audit_service.context import Viewer
    from audit_service.errors import AuditError, AuditUnavailable
    from audit_service.extension import LoginAudit
    from audit_service.receivers import record_error, stored
    from audit_service.signals import login_failed_signal, login_signal, logout_signal
    from audit_service.storage.host_migrations import include_name
    from audit_service.vocabulary import Reason, Role

__all__ = [
    "AuditError",
    "AuditHandler",
    "AuditUnavailable",
    "LoginAudit",
    "Reason",
    "Role",
    "Viewer",
    "audit_login",
    "create_app",
    "include_name",
    "login_failed_signal",
    "login_signal",
    "logout_signal",
    "record_error",
    "stored",
]

_MODULES = {
    "AuditError": "errors",
    "AuditUnavailable": "errors",
    "AuditHandler": "adapters.log_handler",
    "LoginAudit": "extension",
    "Reason": "vocabulary",
    "Role": "vocabulary",
    "Viewer": "context",
    "audit_login": "adapters.decorator",
    "create_app": "app",
    "include_name": "storage.host_migrations",
    "login_failed_signal": "receivers",  # with their receivers: sending one without LoginAudit raises
    "login_signal": "receivers",
    "logout_signal": "receivers",
    "record_error": "receivers",
    "stored": "receivers",
}


def __getattr__(name: str) -> Any:
    """Import what *name* is (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
