"""What ``LoginAudit.init_app`` leaves in a Flask app, and how the rest finds it."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, current_app
from sqlalchemy.orm import Session, scoped_session

from audit_service.errors import NotConfiguredError
from audit_service.settings import Settings
from audit_service.trail.recorder import Recorder
from audit_service.vocabulary import Role

EXTENSION = "login_audit"


@dataclass(frozen=True)
class Viewer:
    """Who asks for the history: an account with its role, or a token that may read all."""

    name: str
    role: Role


@dataclass(frozen=True)
class AuditContext:
    """One app's trail."""

    settings: Settings
    recorder: Recorder
    app_name: str
    session_viewer: Callable[[], Viewer | None]

    def signing_key(self) -> str:
        """Return what signs cursors: the current app's secret key, else the one of the settings."""
        return str(current_app.secret_key or self.settings.signing_key())


def context_of(app: Flask) -> AuditContext:
    """Return the app's trail; raise ``NotConfiguredError`` if it has none."""
    try:
        context: AuditContext = app.extensions[EXTENSION]
    except KeyError:
        raise NotConfiguredError(f"the Flask app {app.name!r} has no audit trail: call LoginAudit(app) first") from None
    return context


def current_context() -> AuditContext:
    """Return the current app's trail."""
    return context_of(current_app)


def read_session() -> "scoped_session[Session]":
    """Return the app's own SQLAlchemy session, through which history, accounts and tokens are read."""
    session: scoped_session[Session] = current_app.extensions["sqlalchemy"].session
    return session
