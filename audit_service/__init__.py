"""A login audit trail for Flask."""

from collections.abc import Mapping
from typing import Any

from flask import Flask

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


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Make the service from ``AUDIT_*`` variables, overridden by *config*. Raises ``SettingsError`` for bad ones."""
    from audit_service import app  # noqa: PLC0415 - an app with the extension needs nothing of the service

    return app.create_app(config)
