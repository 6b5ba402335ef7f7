"""The tokens: a list, a form that makes one, and a page that asks before one is revoked."""

from datetime import UTC, datetime, timedelta

from flask import url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from audit_service.access import tokens as service
from audit_service.context import Viewer, current_context, read_session
from audit_service.errors import AccountError, ParameterError
from audit_service.login.credentials import read_texts
from audit_service.pages.blueprint import page
from audit_service.pages.managing import change_by_admin, done, for_admins, refusal
from audit_service.storage.models import Token
from audit_service.values import limits
from audit_service.vocabulary import Scope
from audit_service.web.language import gettext

DAYS = 90  # until a token expires, unless something else is said


@for_admins
def list_tokens(viewer: Viewer) -> AnyResponse:
    """Show the tokens, those that are good first, and a form that makes one."""
    return _list(viewer)


@for_admins
def add_token(viewer: Viewer) -> AnyResponse:
    """Make a token. It is shown in the answer, and never again."""
    name, given, days = read_texts("name", "scope", "days")
    scope, expires_at = _scope(given), _expiry(days)
    by = current_context().actor(viewer.name)
    try:
        with change_by_admin() as session:
            token = service.add_token(session, name, scope, by=by, expires_at=expires_at)
    except AccountError as error:
        return _list(viewer, refusal(error, "name"), 400)
    return page("token_once.html", viewer, name=name, token=token, curl=_curl(scope, token), expires_at=expires_at)


@for_admins
def show_token(viewer: Viewer, name: str) -> AnyResponse:
    """Show a token, and ask whether to revoke it."""
    return page("token.html", viewer, token=_find(name), now=datetime.now(UTC))


@for_admins
def revoke_token(viewer: Viewer, name: str) -> AnyResponse:
    """Revoke a token for good."""
    _find(name)
    with change_by_admin() as session:
        service.revoke_token(session, name, by=current_context().actor(viewer.name))
    return done(gettext("The token %(name)s is revoked.", name=name), "audit_pages.list_tokens")


def _list(viewer: Viewer, error: str = "", status: int = 200) -> AnyResponse:
    now = datetime.now(UTC)
    tokens = sorted(service.list_tokens(read_session()), key=lambda token: not _is_good(token, now))
    return page(
        "tokens.html",
        viewer,
        status,
        tokens=tokens,
        scopes=list(Scope),
        days=DAYS,
        days_max=limits.TOKEN_DAYS,
        name_length=limits.TOKEN_NAME,
        error=error,
        now=now,
    )


def _is_good(token: Token, now: datetime) -> bool:
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > now)


def _find(name: str) -> Token:
    for token in service.list_tokens(read_session()):
        if token.name == name:
            return token
    raise NotFound(gettext("there is no such token"))


def _scope(given: str) -> Scope:
    try:
        return Scope(given)
    except ValueError:
        raise ParameterError("scope", gettext("scope must be one of %(known)s", known=", ".join(Scope))) from None


def _expiry(days: str) -> datetime | None:
    """Return when a token expires that many *days* from now; None for no end."""
    if not days.strip():
        return None
    try:
        number = int(days) if len(days) < 10 else 0  # noqa: PLR2004 - digits
    except ValueError:
        number = 0
    if not 1 <= number <= limits.TOKEN_DAYS:
        detail = gettext("days must be a number from 1 to %(most)s, or empty", most=limits.TOKEN_DAYS)
        raise ParameterError("days", detail)
    return datetime.now(UTC) + timedelta(days=number)


def _curl(scope: Scope, token: str) -> str:
    """Return a command that uses the token."""
    header = f"curl -H 'Authorization: Bearer {token}'"
    if scope is Scope.READ:
        return f"{header} {url_for('audit_api.list_logins', limit=10, _external=True)}"
    body = """--json '{"username": "ada", "outcome": "success"}'"""
    return f"{header} {body} {url_for('audit_login.login', _external=True)}"
