"""One attempt to log in with a password: throttled, checked, and recorded when it fails."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NoReturn

from flask import Flask, current_app
from sqlalchemy import update
from werkzeug.exceptions import ServiceUnavailable, TooManyRequests, Unauthorized

from audit_service.access.accounts import find_account
from audit_service.access.passwords import hash_password, needs_rehash, verify_password
from audit_service.access.refusals import Key, RefusalCounter, add_counts, close_windows
from audit_service.access.throttle import Lift, Limits, Refusal, find_lifts, find_refusal
from audit_service.context import (
    AuditContext,
    context_of,
    current_context,
    end_reading,
    note_away,
    read_session,
    write_session,
)
from audit_service.events import request_info
from audit_service.events.usernames import ANY
from audit_service.login.unchecked import Unchecked
from audit_service.receivers import stored
from audit_service.signals import login_failed_signal
from audit_service.storage.models import Account
from audit_service.storage.outages import DATABASE_ERRORS
from audit_service.vocabulary import Method, Reason
from audit_service.web.language import gettext, later, ngettext

WRONG_CREDENTIALS = later("wrong username or password")
KNOWN_LIMIT = 10_000  # refusals that a process remembers, so that a flood does not read the history again and again
LIFTS_KNOWN_FOR = timedelta(seconds=5)  # then a process asks anew whether an admin has lifted a refusal it remembers
_EXTENSION = "audit_attempts"


class _Turns:
    """Turns for networks. One attempt of a network at a time: many at once would pass the throttle together."""

    def __init__(self) -> None:
        self._locks = [threading.Lock() for _ in range(64)]

    @contextmanager
    def of(self, network: str | None, timeout: float) -> Iterator[None]:
        lock = self._locks[hash(network) % len(self._locks)]
        if not lock.acquire(timeout=timeout):
            raise ServiceUnavailable("too many logins at the moment; please try again in a minute")
        try:
            yield
        finally:
            lock.release()


class _Attempts:
    """What the attempts in one process share."""

    def __init__(self, audit: AuditContext) -> None:
        self.turns = _Turns()
        self.limits = Limits.of(audit.settings)
        self.known_refusals: dict[tuple[str | None, str], Refusal] = {}
        self.known_lifts: list[Lift] = []
        self.lifts_known_until = datetime.min.replace(tzinfo=UTC)
        self.refusals = RefusalCounter(partial(add_counts, audit.writer))
        self.unchecked = Unchecked(audit, self.limits.window)
        audit.recorder.add_chore(partial(close_windows, audit.writer, self.limits.window))
        audit.recorder.add_chore(self.unchecked.tell)


def init_attempts(app: Flask) -> None:
    """Set up *app*; its recorder then also turns counted attempts into events when their window is over."""
    app.extensions[_EXTENSION] = _Attempts(context_of(app))


def authenticate(username: str, password: str) -> Account:
    """Return the account that these belong to.

    Raises ``Unauthorized`` (401), the same for every failure and after the same work, ``TooManyRequests`` (429) if
    there were too many failures, and ``AuditUnavailable`` if the failure cannot be recorded. If the database cannot be
    asked that is a failure, too, and what SQLAlchemy raises.
    """
    shared: _Attempts = current_app.extensions[_EXTENSION]
    try:
        return _check(username, password, shared)
    except DATABASE_ERRORS:
        note_away()
        shared.unchecked.record(username)
        raise


def _check(username: str, password: str, shared: _Attempts) -> Account:
    audit = current_context()
    network = request_info.network_of(request_info.client().remote_addr)
    with shared.turns.of(network, audit.settings.write_timeout):
        end_reading()  # what was read before this turn is old: others have failed since
        account = find_account(read_session(), username)
        name = account.username if account else audit.unknown_username(username)
        refusal = _refusal(network, name)
        if account:
            read_session().expunge(account)
        end_reading()  # no connection is held while the password is hashed, nor while the event is stored
        if refusal is None:
            is_right = verify_password(account.password_hash if account else None, password)
            reason = _reason(account, is_right=is_right)
            if reason:
                _record(account.username if account else username, reason)
    if refusal:
        _refuse(refusal, network, name)
    if account is None or reason:
        raise Unauthorized(gettext(WRONG_CREDENTIALS))
    if needs_rehash(account.password_hash):
        _rehash(account, password)
    return account


def _refusal(network: str | None, name: str) -> Refusal | None:
    audit = current_context()
    if audit.settings.throttle == "off":
        return None
    shared: _Attempts = current_app.extensions[_EXTENSION]
    now = datetime.now(UTC)
    known = shared.known_refusals
    for key in ((network, ANY), (network, name)):
        refusal = known.get(key)
        # More failures can make it later. Only an admin makes it earlier, and then the history is asked.
        if refusal and refusal.until > now and not _is_lifted(network, name, now):
            return refusal
    refusal = find_refusal(read_session(), network, name, shared.limits, now)
    if refusal and refusal.is_counted:
        if len(known) >= KNOWN_LIMIT:
            known.clear()
        known[network, refusal.username] = refusal
    return refusal


def _is_lifted(network: str | None, name: str, now: datetime) -> bool:
    shared: _Attempts = current_app.extensions[_EXTENSION]
    if now >= shared.lifts_known_until:
        shared.known_lifts = find_lifts(read_session(), now - shared.limits.window)
        shared.lifts_known_until = now + LIFTS_KNOWN_FOR
    return any(each.is_for(network, name) for each in shared.known_lifts)


def _reason(account: Account | None, *, is_right: bool) -> Reason | None:
    if account is None:
        return Reason.UNKNOWN_USER
    if not is_right:
        return Reason.BAD_PASSWORD
    return Reason.INACTIVE if account.disabled_at else None


def _refuse(refusal: Refusal, network: str | None, name: str) -> NoReturn:
    if refusal.is_counted:
        shared: _Attempts = current_app.extensions[_EXTENSION]
        shared.refusals.count(Key(network or "", refusal.username, current_context().app_name))
    else:
        _record(name, Reason.THROTTLED)
    seconds = max(1, math.ceil((refusal.until - datetime.now(UTC)).total_seconds()))
    raise TooManyRequests(
        gettext("too many failed attempts; please try again in %(wait)s", wait=_words(seconds)), retry_after=seconds
    )


def _record(username: str, reason: Reason) -> None:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - documented for signals
    stored(login_failed_signal.send(app, username=username, reason=reason, method=Method.PASSWORD))


def _words(seconds: int) -> str:
    if seconds < 90:  # noqa: PLR2004
        return ngettext("%(number)s second", "%(number)s seconds", seconds)
    return ngettext("%(number)s minute", "%(number)s minutes", -(-seconds // 60))


def _rehash(account: Account, password: str) -> None:
    """Keep the hash with today's parameters. The old one works, too: if this fails the login goes on."""
    change = update(Account).where(Account.id == account.id, Account.password_hash == account.password_hash)
    password_hash = hash_password(password)
    try:
        with write_session() as session:
            is_kept = session.scalar(change.values(password_hash=password_hash).returning(Account.id)) is not None
    except DATABASE_ERRORS as error:
        current_app.logger.warning("a password could not be hashed anew: %s", type(error).__name__)
        return
    if is_kept:
        account.password_hash = password_hash
