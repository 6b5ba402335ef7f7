"""A login audit trail for Flask."""

from audit_service.app import create_app
from audit_service.context import Viewer
from audit_service.errors import AuditError, AuditUnavailable
from audit_service.extension import LoginAudit
from audit_service.receivers import stored
from audit_service.signals import login_failed_signal, login_signal, logout_signal
from audit_service.vocabulary import Reason, Role

__all__ = [
    "AuditError",
    "AuditUnavailable",
    "LoginAudit",
    "Reason",
    "Role",
    "Viewer",
    "create_app",
    "login_failed_signal",
    "login_signal",
    "logout_signal",
    "stored",
]
