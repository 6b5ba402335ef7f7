"""Tokens: what machines present to read the history. The token is shown once, its hash is kept."""

import hashlib
import secrets
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, scoped_session

from audit_service.errors import AccountError
from audit_service.models import Token
from audit_service.text import fit
from audit_service.vocabulary import Scope

TOKEN_PREFIX = "aud_"  # noqa: S105 - so that secret scanners find tokens
NAME_LIMIT = 64


def add_token(session: Session, name: str, scope: Scope) -> str:
    """Make a token of 256 random bits and return it, for the only time. Raises ``AccountError``."""
    if not name.strip() or fit(name, NAME_LIMIT) is None:
        raise AccountError(f"a token's name must be 1 to {NAME_LIMIT} characters, without control characters")
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    session.add(Token(name=name, token_hash=_hash(token), scope=scope.value, created_at=datetime.now(UTC)))
    try:
        session.flush()
    except IntegrityError:
        session.rollback()
        raise AccountError(f"there is, or was, a token {name!r} already: choose another name") from None
    return token


def list_tokens(session: Session) -> list[Token]:
    """Return all tokens, revoked ones too, by name."""
    return list(session.scalars(select(Token).order_by(Token.name)))


def revoke_token(session: Session, name: str) -> None:
    """Make the token worthless for good; the caller commits. Raises ``AccountError`` if there is none of that name."""
    token = session.scalars(select(Token).where(Token.name == name)).one_or_none()
    if token is None:
        raise AccountError(f"there is no token {name!r}: 'audit-service tokens list' shows all")
    token.revoked_at = token.revoked_at or datetime.now(UTC)


def find_token(session: Session | scoped_session[Session], presented: str, scope: Scope) -> Token | None:
    """Return the token that was *presented*, if it is valid for *scope*."""
    query = select(Token).where(
        Token.token_hash == _hash(presented), Token.scope == scope.value, Token.revoked_at.is_(None)
    )
    return session.scalars(query).one_or_none()


def _hash(token: str) -> str:
    # A plain hash is enough for 256 random bits, and looking up the hash tells nothing by its timing.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
