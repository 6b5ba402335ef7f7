"""The login views of the service, as pages and JSON, and their sessions."""

from audit_service.login.attempts import init_attempts
from audit_service.login.pages import error_answer
from audit_service.login.sessions import init_sessions, session_viewer
from audit_service.login.views import blueprint

__all__ = ["blueprint", "error_answer", "init_attempts", "init_sessions", "session_viewer"]
