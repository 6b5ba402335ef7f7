"""Accounts that can log in to the service itself. A change of one and its admin event are one transaction.

Changes that overlap follow one rule, here and in ``tokens``: lock the row, look at its state under the lock, change it,
and append the event last. So what happens once is recorded once, and the trail is never held while a row is waited for.
On PostgreSQL the row is locked by ``SELECT … FOR UPDATE``; on SQLite the caller's transaction begins as a writer.

The last active admin stays one. What could take that away locks the rows of all active admins first, in one order: of
two admins who remove each other at once the second finds that it is the last.
"""

import secrets
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from audit_service.access.passwords import hash_password, validate_password
from audit_service.errors import AccountError
from audit_service.events.admin import Actor
from audit_service.events.usernames import is_reserved
from audit_service.storage.models import Account
from audit_service.trail.append import append_within
from audit_service.values import limits
from audit_service.values.text import fit
from audit_service.vocabulary import AdminAction, Role
from audit_service.web.language import gettext


def add_account(session: Session, username: str, role: Role, password: str, *, by: Actor) -> Account:
    """Make an account; the caller commits.

    Raises ``AccountError`` for a name that is taken, or an unfit one; what the caller did before is left as it is.
    """
    name = fit(username, limits.USERNAME)
    if not name or name != name.strip(" "):
        raise AccountError(
            gettext(
                "a username must be 1 to %(most)s characters, without control characters or spaces at its ends",
                most=limits.USERNAME,
            )
        )
    if is_reserved(name):
        raise AccountError(
            gettext("the username %(name)r stands for names that are not kept: choose another one", name=name)
        )
    validate_password(password, name)
    account = Account(
        username=name,
        password_hash=hash_password(password),
        role=role.value,
        session_key=_session_key(),
        created_at=datetime.now(UTC),
    )
    try:
        with session.begin_nested():
            session.add(account)
    except IntegrityError:
        raise AccountError(gettext("there is an account %(name)r already", name=username)) from None
    _record(session, by, AdminAction.ACCOUNT_ADDED, account, {"role": role.value})
    return account


def list_accounts(session: Session, *, begin: str = "", limit: int | None = None) -> list[Account]:
    """Return all accounts, by name; or at most *limit* from the name *begin* on, whether there is such a one or not."""
    query = select(Account).where(Account.username >= begin).order_by(Account.username).limit(limit)
    return list(session.scalars(query))


def find_account(session: Session, username: str) -> Account | None:
    """Return the account of that name, in any Unicode form."""
    name = fit(username, limits.USERNAME)
    if name is None:  # no account has such a name, and the database would not take it
        return None
    return session.scalars(select(Account).where(Account.username == name)).one_or_none()


def get_account(session: Session, username: str) -> Account:
    """Return the account of that name; raise ``AccountError`` if there is none."""
    account = find_account(session, username)
    if account is None:
        raise _missing(username)
    return account


def set_password(session: Session, account: Account, password: str, *, by: Actor) -> None:
    """Change the password and end all sessions of the account; the caller commits.

    Raises ``AccountError`` for an unfit password, and as all that follow if the account was removed meanwhile.
    """
    password_hash = _new_hash(password, account)
    _give_password(session, _lock_present(session, account), password_hash, by)


def replace_password(session: Session, checked: Account, password: str, *, by: Actor) -> Account | None:
    """Like ``set_password``, if what was *checked* of the account, read before in another session, still holds.

    Returns the account as it is then, or None if it was removed or disabled since, or has another password or other
    sessions; then nothing is changed.
    """
    password_hash = _new_hash(password, checked)
    account = _lock(session, checked)
    if account is None or account.disabled_at:
        return None
    if (account.password_hash, account.session_key) != (checked.password_hash, checked.session_key):
        return None
    _give_password(session, account, password_hash, by)
    return account


def set_role(session: Session, account: Account, role: Role, *, by: Actor) -> None:
    """Give the account another role, or the same, and end all its sessions; the caller commits.

    Raises ``AccountError`` for the last active admin, unless it stays one.
    """
    admins = _lock_admins(session)
    account = _lock_present(session, account)
    if role is not Role.ADMIN:
        _require_another(admins, account)
    before, account.role = account.role, role.value
    account.session_key = _session_key()
    _record(session, by, AdminAction.ROLE_CHANGED, account, {"from": before, "to": role.value})


def disable(session: Session, account: Account, *, by: Actor) -> None:
    """Refuse logins to this account, and end all its sessions; the caller commits.

    Raises ``AccountError`` for the last active admin.
    """
    admins = _lock_admins(session)
    account = _lock_present(session, account)
    if account.disabled_at:
        return
    _require_another(admins, account)
    account.disabled_at = datetime.now(UTC)
    account.session_key = _session_key()
    _record(session, by, AdminAction.ACCOUNT_DISABLED, account)


def enable(session: Session, account: Account, *, by: Actor) -> None:
    """Undo ``disable``; the sessions stay ended. The caller commits."""
    account = _lock_present(session, account)
    if account.disabled_at is None:
        return
    account.disabled_at = None
    _record(session, by, AdminAction.ACCOUNT_ENABLED, account)


def end_sessions(session: Session, account: Account, *, by: Actor) -> None:
    """End all sessions of the account, and change nothing else of it; the caller commits."""
    account = _lock_present(session, account)
    account.session_key = _session_key()
    _record(session, by, AdminAction.SESSIONS_ENDED, account)


def remove(session: Session, account: Account, *, by: Actor) -> None:
    """Remove the account and end all its sessions; its events stay in the trail. The caller commits.

    Raises ``AccountError`` for the last active admin.
    """
    admins = _lock_admins(session)
    account = _lock_present(session, account)
    _require_another(admins, account)
    session.delete(account)
    _record(session, by, AdminAction.ACCOUNT_REMOVED, account, {"role": account.role})


def is_admin_now(session: Session, username: str, session_key: str) -> bool:
    """Tell whether the session with that key is one of an active admin, and let it stay so until the caller commits.

    To be asked first in the transaction of a change: what was seen of the admin before may have changed since.
    """
    return any((admin.username, admin.session_key) == (username, session_key) for admin in _lock_admins(session))


def _lock(session: Session, account: Account) -> Account | None:
    """Return the account as it is now, locked until the caller commits; None if it was removed."""
    query = select(Account).where(Account.id == account.id).with_for_update()
    return session.scalars(query, execution_options={"populate_existing": True}).one_or_none()


def _lock_present(session: Session, account: Account) -> Account:
    locked = _lock(session, account)
    if locked is None:
        raise _missing(account.username)
    return locked


def _lock_admins(session: Session) -> list[Account]:
    """Return the admins that can log in, locked until the caller commits."""
    is_active_admin = (Account.role == Role.ADMIN.value, Account.disabled_at.is_(None))
    query = select(Account).where(*is_active_admin).order_by(Account.id).with_for_update()
    return list(session.scalars(query, execution_options={"populate_existing": True}))


def _require_another(admins: list[Account], account: Account) -> None:
    if admins == [account]:
        raise AccountError(
            gettext("%(name)r is the last active admin: make another account one first", name=account.username)
        )


def _missing(username: str) -> AccountError:
    return AccountError(f"there is no account {username!r}: 'audit-service accounts list' shows all")


def _new_hash(password: str, account: Account) -> str:
    """Check and hash a new password; before the row is locked, since it is meant to take long."""
    validate_password(password, account.username)
    return hash_password(password)


def _give_password(session: Session, account: Account, password_hash: str, by: Actor) -> None:
    account.password_hash = password_hash
    account.session_key = _session_key()
    _record(session, by, AdminAction.PASSWORD_CHANGED, account)


def _session_key() -> str:
    return secrets.token_hex(16)


def _record(
    session: Session, by: Actor, action: AdminAction, account: Account, details: dict[str, Any] | None = None
) -> None:
    session.flush()  # first what may fail: the trail is locked from here to the commit
    append_within(session.connection(), [by.did(action, account.username, details)])
