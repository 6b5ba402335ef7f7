"""Sessions: what their cookie holds, and how long they live.

A session ends when it is idle for too long, when its life-time is over, at a logout, and when the password, the role or
the state of its account changes. Any process can check it, by the cookie, ``EndedSession`` and the account. The row of
``KnownSession`` only tells who is logged in: it is written at the login and when ``seen`` is renewed. If that fails,
nobody is refused.

The cookie (see ``cookie``) holds these, and is signed:

``username``  the account's name, or the name that was given without a password. It is there also so that an error event
              can name it without asking the database.
``key``       the account's session key, which each change of the account replaces; "" for a name without a password.
``id``        of this session alone, for ``EndedSession``.
``started``   the time of the login, in seconds since the epoch.
``proved``    the time when the password was last asked for again, as ``started``; missing if it never was.
``seen``      the time of the last request, as ``started``; up to ``RENEWAL`` seconds late.
"""

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask, current_app, session
from sqlalchemy import delete, exists, or_, select
from sqlalchemy.orm import Session
from uuid_utils import uuid4

from audit_service.access.accounts import is_admin_now
from audit_service.context import Viewer, context_of, current_context, read_session, write_session
from audit_service.events import request_info
from audit_service.login.cookie import CookieSessions
from audit_service.storage.models import Account, EndedSession, KnownSession
from audit_service.storage.outages import DATABASE_ERRORS
from audit_service.vocabulary import Role

RENEWAL = 60  # seconds: how exactly the last request of a session is known, at least
FRESH = 15 * 60  # seconds after the password was given in which it is not asked for again


def init_sessions(app: Flask) -> None:
    """Let *app* keep its sessions in our cookie."""
    settings = context_of(app).settings
    app.session_interface = CookieSessions(always_secure=settings.cookie_secure == "on")
    app.permanent_session_lifetime = timedelta(seconds=settings.session_lifetime)  # no older signature is read


def start_session(account: Account) -> None:
    """Begin a new session; whatever the old one held is gone.

    It carries the session key of *account* as it was read when the password was checked: if the account was changed
    since, the session is over before it begins.
    """
    _start(account.username, account.session_key)
    _make_known(starts=True)


def start_passwordless_session(username: str) -> None:
    """Begin a session for a name that was given without a password: it has the role ``user``."""
    _start(username, "")


def end_session() -> None:
    """End the session, if there is one, for every copy of its cookie."""
    _end_for_good()
    session.clear()


def session_viewer() -> Viewer | None:
    """Return the account, or the name without a password, that is logged in; None without a session."""
    if account := session_account():
        return Viewer(name=account.username, role=Role(account.role))
    if not _is_passwordless():
        return None
    # The name was not checked: it never gets the role of an account of that name.
    return Viewer(name=_text("username"), role=Role.USER)


def session_account() -> Account | None:
    """Return the account that is logged in; None without a session, and for a name without a password."""
    seen = _number("seen")
    if not _text("key") or not _is_in_time():
        return None
    query = select(Account).where(
        Account.username == _text("username"),
        Account.session_key == _text("key"),
        Account.disabled_at.is_(None),
        ~_has_ended(),
    )
    account = read_session().scalars(query).one_or_none()
    if account and _number("seen") > seen:
        _make_known()
    return account


def is_session_of(account: Account) -> bool:
    """Tell whether this session is one of *account* as it was read: no change of it has ended the session."""
    return (_text("username"), _text("key")) == (account.username, account.session_key)


def is_session_of_admin(database: Session) -> bool:
    """Tell whether this session is one of an active admin, which it stays until the transaction of *database* ends."""
    return is_admin_now(database, _text("username"), _text("key"))


def is_fresh() -> bool:
    """Tell whether the password of this session was given a short while ago, at the login or since."""
    return int(time.time()) - max(_number("started"), _number("proved")) <= FRESH


def note_proof() -> None:
    """Take note that the password was given again, and is right; copies of the cookie do not know of it."""
    session["proved"] = int(time.time())


def _start(username: str, key: str) -> None:
    _end_for_good()
    session.clear()
    now = int(time.time())
    session.update(username=username, key=key, id=uuid4().hex, started=now, seen=now)


def _end_for_good() -> None:
    if not session.get("id"):
        return
    now = datetime.now(UTC)
    lifetime = timedelta(seconds=current_context().settings.session_lifetime)
    with write_session() as database:
        database.execute(delete(EndedSession).where(EndedSession.until < now))
        with suppress(*DATABASE_ERRORS), database.begin_nested():  # an ended one is listed no more, row or not
            database.execute(delete(KnownSession).where(KnownSession.session_id == session["id"]))
        database.merge(EndedSession(session_id=session["id"], until=now + lifetime))


def _make_known(*, starts: bool = False) -> None:
    """Keep what is to be told of this session; when one *starts*, forget those that are over. Failures are logged."""
    client = request_info.client()
    known = KnownSession(
        session_id=_text("id"),
        username=_text("username"),
        session_key=_text("key"),
        started_at=datetime.fromtimestamp(_number("started"), UTC),
        seen_at=datetime.fromtimestamp(_number("seen"), UTC),
        remote_addr=client.remote_addr,
        user_agent=client.user_agent,
    )
    try:
        with write_session() as database:
            if starts:
                database.execute(_over())
            database.merge(known)
    except DATABASE_ERRORS as error:
        current_app.logger.warning("who is logged in could not be noted: %s", type(error).__name__)


def _over() -> Any:
    """Return what deletes the rows of sessions whose life-time is over, or whose account has another key."""
    oldest = datetime.now(UTC) - timedelta(seconds=current_context().settings.session_lifetime)
    has_key = exists().where(Account.username == KnownSession.username, Account.session_key == KnownSession.session_key)
    return delete(KnownSession).where(or_(KnownSession.started_at < oldest, ~has_key))


def _is_passwordless() -> bool:
    """Tell whether this is the session of a name without a password, while such sessions are allowed."""
    if current_context().settings.login != "passwordless" or session.get("key") != "" or not _text("username"):
        return False
    return _is_in_time() and not read_session().scalar(select(_has_ended()))


def _is_in_time() -> bool:
    """Tell whether the session is neither idle for too long nor too old; keep it from becoming idle."""
    settings, now = current_context().settings, int(time.time())
    started, seen = _number("started"), _number("seen")
    if now - started > settings.session_lifetime or now - seen > settings.session_idle or not _text("id"):
        return False
    if now - seen >= min(RENEWAL, settings.session_idle // 10):
        session["seen"] = now
    return True


def _has_ended() -> Any:
    return exists().where(EndedSession.session_id == _text("id"))


def _number(name: str) -> int:
    value: Any = session.get(name)
    return value if isinstance(value, int) else 0


def _text(name: str) -> str:
    value: Any = session.get(name)
    return value if isinstance(value, str) else ""
