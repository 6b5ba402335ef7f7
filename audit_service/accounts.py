"""Accounts of the service itself: who can log in, with which role."""

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, scoped_session

from audit_service.errors import AccountError
from audit_service.models import Account
from audit_service.passwords import check_password, hash_password, verify_password
from audit_service.request_info import USERNAME_LIMIT
from audit_service.text import fit
from audit_service.vocabulary import Reason, Role


def add_account(session: Session, username: str, role: Role, password: str) -> Account:
    """Make an account; the caller commits. Raises ``AccountError`` for a name that is taken, or an unfit one."""
    name = fit(username, USERNAME_LIMIT)
    if not name or name != name.strip(" "):
        raise AccountError(
            f"a username must be 1 to {USERNAME_LIMIT} characters, without control characters or spaces at its ends"
        )
    check_password(password)
    account = Account(
        username=name, password_hash=hash_password(password), role=role.value, created_at=datetime.now(UTC)
    )
    session.add(account)
    try:
        session.flush()
    except IntegrityError:
        session.rollback()
        raise AccountError(f"there is an account {username!r} already") from None
    return account


def list_accounts(session: Session) -> list[Account]:
    """Return all accounts, by name."""
    return list(session.scalars(select(Account).order_by(Account.username)))


def find_account(session: Session | scoped_session[Session], account_id: int) -> Account | None:
    """Return the account of that id."""
    return session.get(Account, account_id)


def authenticate(session: Session | scoped_session[Session], username: str, password: str) -> Account | Reason:
    """Return the account that these belong to, or why there is none; both cost the same."""
    account = None
    name = fit(username, USERNAME_LIMIT)
    if name is not None:  # else it is nobody's name, and the database would not take it
        account = session.scalars(select(Account).where(Account.username == name)).one_or_none()
        if account:
            session.expunge(account)
        session.rollback()  # no connection is held while the password is hashed, nor while the event is stored
    is_right = verify_password(account.password_hash if account else None, password)
    if account is None:
        return Reason.UNKNOWN_USER
    return account if is_right else Reason.BAD_PASSWORD
