"""The login views of the service: a page and JSON, sessions, and who you are."""

from audit_service.login.sessions import init_sessions
from audit_service.login.views import blueprint

__all__ = ["blueprint", "init_sessions"]
