"""Sessions by Flask-Login: who the cookie says you are."""

from dataclasses import dataclass

from flask import Flask, session
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user

from audit_service.accounts import find_account
from audit_service.context import Viewer, current_context, read_session
from audit_service.models import Account
from audit_service.vocabulary import Role


@dataclass(frozen=True)
class SessionUser(UserMixin):  # type: ignore[misc]
    """Somebody with a session."""

    id: str
    username: str
    role: Role


class _SessionsOnly(LoginManager):  # type: ignore[misc]
    """Flask-Login without its "remember me" cookie, which we never set: whoever sends one is not believed."""

    def _load_user_from_remember_cookie(self, _cookie: str) -> None:
        return None


def init_sessions(app: Flask) -> None:
    """Set up Flask-Login for *app*."""
    # Pages are rendered with what they are given: no template asks the database who is logged in.
    manager = _SessionsOnly(app, add_context_processor=False)
    manager.user_loader(_load)


def start_session(account: Account) -> None:
    """Begin a new session; whatever the old one held is gone."""
    _start(_of_account(account))


def start_passwordless_session(username: str) -> None:
    """Begin a session for a name that nobody checked: it has the role ``user``."""
    _start(_of_name(username))


def end_session() -> None:
    """End the session, if there is one."""
    logout_user()
    session.clear()


def session_viewer() -> Viewer | None:
    """Return who has this session."""
    if not current_user.is_authenticated:
        return None
    return Viewer(name=current_user.username, role=current_user.role)


def _start(user: SessionUser) -> None:
    session.clear()
    login_user(user)
    session["username"] = user.username  # so that an error event can name it without asking the database


def _load(user_id: str) -> SessionUser | None:
    kind, _, key = user_id.partition(":")
    if kind == "name" and current_context().settings.login == "passwordless":
        return _of_name(key)
    account = find_account(read_session(), int(key)) if kind == "account" else None
    return _of_account(account) if account else None


def _of_account(account: Account) -> SessionUser:
    return SessionUser(id=f"account:{account.id}", username=account.username, role=Role(account.role))


def _of_name(username: str) -> SessionUser:
    # Nobody checked the name: it never gets the role of an account of that name.
    return SessionUser(id=f"name:{username}", username=username, role=Role.USER)
