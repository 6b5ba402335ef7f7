"""Who is asking, and what they may see."""

from flask import current_app, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from audit_service.context import Viewer, current_context, read_session
from audit_service.tokens import find_token
from audit_service.vocabulary import Role, Scope

SEES_ALL = (Role.AUDITOR, Role.ADMIN)

_BY_TOKEN = "send 'Authorization: Bearer TOKEN' ('audit-service tokens add --scope read --name NAME' makes a token)"  # noqa: S105 - words
_BY_SESSION = ", or log in at /login/ and send the session cookie"


def current_viewer() -> Viewer:
    """Return who asks: the presented token (it sees all), else the logged-in account. Raises ``Unauthorized`` (401).

    A token that is presented and not valid is refused, whatever the session says (RFC 6750, section 3.1).
    """
    if "Authorization" in request.headers:
        return _token_viewer()
    viewer = current_context().session_viewer()
    if viewer is None:
        raise Unauthorized(f"this needs authentication: {_how()}", www_authenticate=_challenge())
    return viewer


def owner_of_view(viewer: Viewer) -> str | None:
    """Return the only username whose events *viewer* may see; null if all may be seen."""
    return None if viewer.role in SEES_ALL else viewer.name


def require_auditor(viewer: Viewer) -> None:
    """Raise ``Forbidden`` (403) unless *viewer* may see everybody's events."""
    if viewer.role not in SEES_ALL:
        raise Forbidden("this needs the role auditor or admin, or a token with scope read")


def _token_viewer() -> Viewer:
    sent = request.authorization
    token = None
    if sent is not None and sent.type == "bearer" and sent.token:
        token = find_token(read_session(), sent.token, Scope.READ)
    if token is None:
        raise Unauthorized(
            f"the Authorization header carries no valid token: {_how()}", www_authenticate=_challenge("invalid_token")
        )
    return Viewer(name=f"token:{token.name}", role=Role.AUDITOR)


def _how() -> str:
    return _BY_TOKEN + (_BY_SESSION if "audit_login" in current_app.blueprints else "")


def _challenge(error: str | None = None) -> WWWAuthenticate:
    return WWWAuthenticate("bearer", {"realm": "audit history", **({"error": error} if error else {})})
