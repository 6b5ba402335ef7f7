"""Tokens: what machines present. The token is shown once, its hash is kept.

A change and its admin event are one transaction; overlapping ones follow the rule of ``accounts``.
"""

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from audit_service.errors import AccountError
from audit_service.events.admin import Actor
from audit_service.storage.models import Token
from audit_service.trail.append import append_within
from audit_service.values import limits
from audit_service.values.text import fit
from audit_service.vocabulary import AdminAction, Scope
from audit_service.web.language import gettext

TOKEN_PREFIX = "aud_"  # noqa: S105 - so that secret scanners find tokens
KNOWN_FOR = timedelta(hours=1)
KNOWN_LIMIT = 1000
USE_INTERVAL = timedelta(minutes=1)  # how exactly the last use is kept
_TABLE = Token.metadata.tables[Token.__tablename__]


def add_token(session: Session, name: str, scope: Scope, *, by: Actor, expires_at: datetime | None = None) -> str:
    """Make a token of 256 random bits and return it, for the only time; the caller commits.

    Raises ``AccountError`` for a name that is or was taken, an unfit one, and a time that is over; what the caller did
    before is left as it is.
    """
    given, name = name, fit(name, limits.TOKEN_NAME) or ""
    if not name or name != name.strip(" "):
        raise AccountError(
            gettext(
                "a token's name must be 1 to %(most)s characters, without control characters or spaces at its ends, "
                "not %(name)r",
                most=limits.TOKEN_NAME,
                name=given[: limits.TOKEN_NAME],
            )
        )
    now = datetime.now(UTC)
    if expires_at is not None and expires_at <= now:
        raise AccountError(gettext("a token must expire in the future"))
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = Token(name=name, token_hash=_hash(token), scope=scope.value, created_at=now, expires_at=expires_at)
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        raise AccountError(
            gettext("there is, or was, a token %(name)r already: choose another name", name=name)
        ) from None
    details = {"scope": scope.value, "expires_at": expires_at and expires_at.isoformat()}
    append_within(session.connection(), [by.did(AdminAction.TOKEN_ADDED, name, details)])
    return token


def list_tokens(session: Session) -> list[Token]:
    """Return all tokens, revoked ones too, by name."""
    return list(session.scalars(select(Token).order_by(Token.name)))


def revoke_token(session: Session, name: str, *, by: Actor) -> None:
    """Make the token worthless for good; the caller commits. Raises ``AccountError`` if there is none of that name."""
    query = select(Token).where(Token.name == name).with_for_update()
    token = session.scalars(query, execution_options={"populate_existing": True}).one_or_none()
    if token is None:
        raise AccountError(f"there is no token {name!r}: 'audit-service tokens list' shows all")
    if token.revoked_at is None:
        token.revoked_at = datetime.now(UTC)
        session.flush()
        append_within(session.connection(), [by.did(AdminAction.TOKEN_REVOKED, name)])


class KnownTokens:
    """Tokens that were good a while ago, for when the database cannot be asked: in memory, of each only its SHA-256."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, Scope], tuple[str, datetime]] = OrderedDict()

    def remember(self, presented: str, scope: Scope, token: Row[Any]) -> None:
        """Take note that the token is good now: it is known for an hour, and not beyond its own end."""
        until = min(filter(None, (datetime.now(UTC) + KNOWN_FOR, token.expires_at)))
        with self._lock:
            self._known[_hash(presented), scope] = token.name, until
            self._known.move_to_end((_hash(presented), scope))
            if len(self._known) > KNOWN_LIMIT:
                self._known.popitem(last=False)

    def forget(self, presented: str, scope: Scope) -> None:
        """Take note that the token is not good any more."""
        with self._lock:
            self._known.pop((_hash(presented), scope), None)

    def name_of(self, presented: str, scope: Scope) -> str | None:
        """Return the name of the token, if it is known."""
        with self._lock:
            name, until = self._known.get((_hash(presented), scope), (None, datetime.min.replace(tzinfo=UTC)))
        return name if until > datetime.now(UTC) else None


def find_token(session: Session, presented: str, scope: Scope) -> Row[Any] | None:
    """Return the row of the token that was *presented*, if it is valid for *scope* now."""
    digest = _hash(presented)
    query = select(_TABLE).where(_TABLE.c.token_hash == digest)
    token = session.connection().execute(query).one_or_none()  # each request asks: an object of the ORM costs more
    # 256 random bits need no slow hash, and the look-up by a hash tells nothing of the token by its timing.
    if token is None or not hmac.compare_digest(token.token_hash, digest):
        return None
    now = datetime.now(UTC)
    if token.scope != scope or token.revoked_at or (token.expires_at and token.expires_at <= now):
        return None
    return token


def is_use_due(token: Row[Any]) -> bool:
    """Tell whether ``note_use`` has something to say of a token that was found."""
    return token.last_used_at is None or token.last_used_at < datetime.now(UTC) - USE_INTERVAL


def note_use(session: Session, token_id: int) -> None:
    """Note that the token was used now; the caller commits."""
    session.execute(update(Token).where(Token.id == token_id).values(last_used_at=datetime.now(UTC)))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
