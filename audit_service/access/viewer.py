"""The viewer of a request, an account or a token, and what it may see."""

from typing import Any

from flask import current_app, request
from sqlalchemy import Row
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from audit_service.access.tokens import KnownTokens, find_token, is_use_due, note_use
from audit_service.context import Viewer, current_context, note_away, read_session, write_session
from audit_service.events.request_info import network_of, parse_address
from audit_service.storage.outages import DATABASE_ERRORS
from audit_service.trail.looks import question_details
from audit_service.values import limits
from audit_service.values.text import clean
from audit_service.vocabulary import AdminAction, Role, Scope
from audit_service.web.language import gettext, later

_EXTENSION = "audit_known_tokens"
SEES_ALL = (Role.AUDITOR, Role.ADMIN)

_BY_TOKEN = "send 'Authorization: Bearer TOKEN' ('{} tokens add --scope {} --name NAME' makes a token)"  # noqa: S105 - words
_BY_SESSION = ", or log in at /login/ and send the session cookie"


def current_viewer() -> Viewer:
    """Return the presented token (it sees all), else the account that is logged in. Raises ``Unauthorized`` (401).

    A token that is presented and not valid is refused, whatever the session says (RFC 6750, section 3.1).
    """
    if "Authorization" in request.headers:
        return Viewer(name=f"token:{require_token(Scope.READ)}", role=Role.AUDITOR)
    session_viewer = current_context().session_viewer
    viewer = session_viewer() if session_viewer else None
    if viewer is None:
        raise Unauthorized(f"this needs authentication: {_how(Scope.READ)}", www_authenticate=_challenge())
    return viewer


def presented_token() -> str | None:
    """Return what the request presents as its bearer token (RFC 6750, section 2.1); None if it presents none.

    Not by Werkzeug's ``request.authorization``, which raises for some headers that are no ASCII.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def require_token(scope: Scope) -> str:
    """Return the name of the token that the request presents, if it is valid for *scope*.

    Else raise ``Unauthorized`` (401). While the database cannot be asked, a token that reports is as good as it was
    within the last hour; else what SQLAlchemy raises is raised.
    """
    sent, known = presented_token() or "", _known_tokens()
    try:
        token = find_token(read_session(), sent, scope) if sent else None
    except DATABASE_ERRORS:
        name = known.name_of(sent, scope)
        if name is None:
            raise
        note_away()
        return name
    if token is None:
        known.forget(sent, scope)
        _record_access_refused(f"network:{network_of(parse_address(request.remote_addr)) or 'unknown'}")
        raise Unauthorized(
            f"the Authorization header carries no valid token: {_how(scope)}",
            www_authenticate=_challenge("invalid_token"),
        )
    if scope is Scope.REPORT:  # reading needs the database anyway
        known.remember(sent, scope, token)
    if is_use_due(token):
        _note_use(token)
    return str(token.name)


def owner_of_view(viewer: Viewer) -> str | None:
    """Return the only username whose events *viewer* may see; None if all may be seen."""
    return None if viewer.role in SEES_ALL else clean(viewer.name, limits.USERNAME)  # as it is stored


def viewer_for(*, auditors_only: bool) -> Viewer:
    """Return the viewer. Raises ``Unauthorized`` (401), and ``Forbidden`` (403) for one that may not see this."""
    viewer = current_viewer()
    if auditors_only and viewer.role not in SEES_ALL:
        _record_access_refused(viewer.name)
        raise Forbidden(later("this needs the role auditor or admin, or a token with scope read"))
    return viewer


def admin_viewer() -> Viewer:
    """Return the admin that is logged in. Raises ``Unauthorized`` (401), and ``Forbidden`` (403) for all others."""
    viewer = current_viewer()
    if viewer.role is not Role.ADMIN:
        _record_access_refused(viewer.name)
        raise Forbidden(gettext("this needs the role admin"))
    return viewer


def record_reading(viewer: Viewer, action: AdminAction = AdminAction.HISTORY_READ) -> None:
    """Record that *viewer* looks at the history of others (PCI DSS 10.2.1.3); of one's own nothing is recorded."""
    if owner_of_view(viewer) is not None:
        return
    audit, details = current_context(), question_details(dict(request.args.lists()))
    look = audit.actor(viewer.name).did(action, clean(request.path, limits.TARGET), details)
    audit.accesses.record(look, audit.record)


def _known_tokens() -> KnownTokens:
    known: KnownTokens = current_app.extensions.setdefault(_EXTENSION, KnownTokens())
    return known


def _note_use(token: Row[Any]) -> None:
    """Keep the time of the last use, to the minute. A full disk or a lock is no reason to refuse the reading."""
    try:
        with write_session() as session:
            note_use(session, token.id)
    except DATABASE_ERRORS as error:
        current_app.logger.warning("the last use of a token could not be noted: %s", type(error).__name__)


def _record_access_refused(actor: str) -> None:
    """An invalid attempt at the history is an admin event, too (PCI DSS 10.2.1.4)."""
    audit = current_context()
    audit.accesses.record(audit.actor(actor).did(AdminAction.ACCESS_REFUSED, str(request.url_rule)), audit.record)


def _how(scope: Scope) -> str:
    is_service = "audit_login" in current_app.blueprints
    by_session = _BY_SESSION if scope == Scope.READ and is_service else ""
    return _BY_TOKEN.format("audit-service" if is_service else "flask audit", scope.value) + by_session


def _challenge(error: str | None = None) -> WWWAuthenticate:
    return WWWAuthenticate("bearer", {"realm": "audit history", **({"error": error} if error else {})})
