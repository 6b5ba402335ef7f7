"""Accounts of the service itself: who can log in, with which role. A change and its admin event are one transaction."""

import secrets
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from audit_service.errors import AccountError
from audit_service.events import Actor
from audit_service.models import Account
from audit_service.passwords import check_password, hash_password
from audit_service.request_info import USERNAME_LIMIT
from audit_service.text import fit
from audit_service.trail.append import store
from audit_service.usernames import is_reserved
from audit_service.vocabulary import AdminAction, Role


def add_account(session: Session, username: str, role: Role, password: str, *, by: Actor) -> Account:
    """Make an account; the caller commits. Raises ``AccountError`` for a name that is taken, or an unfit one."""
    name = fit(username, USERNAME_LIMIT)
    if not name or name != name.strip(" "):
        raise AccountError(
            f"a username must be 1 to {USERNAME_LIMIT} characters, without control characters or spaces at its ends"
        )
    if is_reserved(name):
        raise AccountError(f"the username {name!r} stands for names that are not kept: choose another one")
    check_password(password, name)
    account = Account(
        username=name,
        password_hash=hash_password(password),
        role=role.value,
        session_key=_session_key(),
        created_at=datetime.now(UTC),
    )
    session.add(account)
    try:
        session.flush()
    except IntegrityError:
        session.rollback()
        raise AccountError(f"there is an account {username!r} already") from None
    _record(session, by, AdminAction.ACCOUNT_ADDED, account, {"role": role.value})
    return account


def list_accounts(session: Session) -> list[Account]:
    """Return all accounts, by name."""
    return list(session.scalars(select(Account).order_by(Account.username)))


def find_account(session: Session, username: str) -> Account | None:
    """Return the account of that name, in any Unicode form."""
    name = fit(username, USERNAME_LIMIT)
    if name is None:  # it is nobody's name, and the database would not take it
        return None
    return session.scalars(select(Account).where(Account.username == name)).one_or_none()


def get_account(session: Session, username: str) -> Account:
    """Return the account of that name; raise ``AccountError`` if there is none."""
    account = find_account(session, username)
    if account is None:
        raise AccountError(f"there is no account {username!r}: 'audit-service accounts list' shows all")
    return account


def set_password(session: Session, account: Account, password: str, *, by: Actor) -> None:
    """Change the password and end all sessions of the account; the caller commits. Raises ``AccountError``."""
    check_password(password, account.username)
    account.password_hash = hash_password(password)
    account.session_key = _session_key()
    _record(session, by, AdminAction.PASSWORD_CHANGED, account)


def set_role(session: Session, account: Account, role: Role, *, by: Actor) -> None:
    """Give the account another role and end all its sessions; the caller commits."""
    before, account.role = account.role, role.value
    account.session_key = _session_key()
    _record(session, by, AdminAction.ROLE_CHANGED, account, {"from": before, "to": role.value})


def disable(session: Session, account: Account, *, by: Actor) -> None:
    """Let nobody in as this account, and end all its sessions; the caller commits."""
    if account.disabled_at:
        return
    account.disabled_at = datetime.now(UTC)
    account.session_key = _session_key()
    _record(session, by, AdminAction.ACCOUNT_DISABLED, account)


def enable(session: Session, account: Account, *, by: Actor) -> None:
    """Undo ``disable``; the sessions stay ended. The caller commits."""
    if account.disabled_at is None:
        return
    account.disabled_at = None
    _record(session, by, AdminAction.ACCOUNT_ENABLED, account)


def remove(session: Session, account: Account, *, by: Actor) -> None:
    """Remove the account and end all its sessions; its events stay in the trail. The caller commits."""
    _record(session, by, AdminAction.ACCOUNT_REMOVED, account, {"role": account.role})
    session.delete(account)


def _session_key() -> str:
    return secrets.token_hex(16)


def _record(
    session: Session, by: Actor, action: AdminAction, account: Account, details: dict[str, Any] | None = None
) -> None:
    session.flush()  # first what may fail: the trail is locked from here to the commit
    store(session.connection(), [by.did(action, account.username, details)])
