"""Sessions by Flask-Login: who the cookie says you are, and until when.

A session ends when it is idle for too long, when its life-time is over, when somebody logs out, and when the password,
the role or the state of its account changes. No row is kept of a session that lives: any process can check it.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask, session
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from sqlalchemy import delete, exists, select
from uuid_utils import uuid4

from audit_service.context import Viewer, context_of, current_context, read_session, write_session
from audit_service.login.cookie import CookieSessions
from audit_service.storage.models import Account, EndedSession
from audit_service.vocabulary import Role

RENEWAL = 60  # seconds: how exactly the last request of a session is known, at least


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
    settings = context_of(app).settings
    app.session_interface = CookieSessions(always_secure=settings.cookie_secure == "on")
    app.permanent_session_lifetime = timedelta(seconds=settings.session_lifetime)  # no older signature is read
    # Pages are rendered with what they are given: no template asks the database who is logged in.
    manager = _SessionsOnly(app, add_context_processor=False)
    manager.session_protection = None  # it marks sessions as stale for a use that we do not have, and costs a hash
    manager._session_identifier_generator = lambda: None  # noqa: SLF001
    manager.user_loader(_load)


def start_session(account: Account) -> None:
    """Begin a new session; whatever the old one held is gone.

    It carries the session key of *account* as it was read when the password was checked: if the account was changed
    since, the session is over before it begins.
    """
    _start(_of_account(account), account.session_key)


def start_passwordless_session(username: str) -> None:
    """Begin a session for a name that nobody checked: it has the role ``user``."""
    _start(_of_name(username), "")


def end_session() -> None:
    """End the session, if there is one, for every copy of its cookie."""
    _end_for_good()
    logout_user()
    session.clear()


def session_viewer() -> Viewer | None:
    """Return who has this session."""
    if not current_user.is_authenticated:
        return None
    return Viewer(name=current_user.username, role=current_user.role)


def session_account() -> Account | None:
    """Return the account that has this session; null for a name that nobody checked."""
    kind, _, key = str(current_user.get_id() or "").partition(":")
    return read_session().get(Account, int(key)) if kind == "account" else None


def is_session_of(account: Account) -> bool:
    """Tell whether *account*, as it was read, has this session: no change of it has ended the session."""
    is_same: bool = current_user.get_id() == _of_account(account).id and session["key"] == account.session_key
    return is_same


def _end_for_good() -> None:
    if not session.get("id"):
        return
    now = datetime.now(UTC)
    lifetime = timedelta(seconds=current_context().settings.session_lifetime)
    with write_session() as database:
        database.execute(delete(EndedSession).where(EndedSession.until < now))
        database.merge(EndedSession(session_id=session["id"], until=now + lifetime))


def _start(user: SessionUser, key: str) -> None:
    _end_for_good()
    session.clear()
    login_user(user)
    now = int(time.time())
    # The username is there so that an error event can name it without asking the database.
    session.update(username=user.username, id=uuid4().hex, key=key, started=now, seen=now)


def _load(user_id: str) -> SessionUser | None:
    if not _is_in_time():
        return None
    has_ended = exists().where(EndedSession.session_id == session["id"])
    kind, _, key = user_id.partition(":")
    if kind == "name" and current_context().settings.login == "passwordless":
        return None if read_session().scalar(select(has_ended)) else _of_name(key)
    if kind != "account":
        return None
    query = select(Account).where(
        Account.id == int(key), Account.session_key == session["key"], Account.disabled_at.is_(None), ~has_ended
    )
    account = read_session().scalars(query).one_or_none()
    return _of_account(account) if account else None


def _is_in_time() -> bool:
    """Tell whether the session is neither idle for too long nor too old; keep it from becoming idle."""
    settings, now = current_context().settings, int(time.time())
    started, seen = _number("started"), _number("seen")
    if now - started > settings.session_lifetime or now - seen > settings.session_idle or not session.get("id"):
        return False
    if now - seen >= min(RENEWAL, settings.session_idle // 10):
        session["seen"] = now
    return True


def _number(name: str) -> int:
    value: Any = session.get(name)
    return value if isinstance(value, int) else 0


def _of_account(account: Account) -> SessionUser:
    return SessionUser(id=f"account:{account.id}", username=account.username, role=Role(account.role))


def _of_name(username: str) -> SessionUser:
    # Nobody checked the name: it never gets the role of an account of that name.
    return SessionUser(id=f"name:{username}", username=username, role=Role.USER)
