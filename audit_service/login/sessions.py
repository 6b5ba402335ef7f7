"""Sessions by Flask-Login: who the cookie says you are."""

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec
from flask import Flask, session
from flask.sessions import SecureCookieSessionInterface
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from itsdangerous import BadPayload, URLSafeTimedSerializer
from itsdangerous.encoding import base64_decode, base64_encode

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


class _Serializer(URLSafeTimedSerializer):
    """Signed JSON, as Flask's, but not compressed and without Flask's tags for types: our sessions hold texts only."""

    def dump_payload(self, obj: Any) -> bytes:
        return base64_encode(msgspec.json.encode(obj))

    def load_payload(self, payload: bytes, *_args: Any, **_kwargs: Any) -> Any:
        try:
            return msgspec.json.decode(base64_decode(payload))
        except msgspec.DecodeError as error:
            raise BadPayload("this session is not one of ours") from error


class Sessions(SecureCookieSessionInterface):
    """Flask's sessions in a signed cookie, with a serializer that is made once and not twice a request."""

    def __init__(self) -> None:
        self._serializers: dict[str, _Serializer] = {}

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Return the serializer for the app's key; fallback keys and an unset key are Flask's own business."""
        key = app.secret_key
        if not isinstance(key, str) or app.config["SECRET_KEY_FALLBACKS"]:
            return super().get_signing_serializer(app)
        if key not in self._serializers:
            self._serializers = {
                key: _Serializer(
                    key,
                    salt=self.salt,
                    signer_kwargs={"key_derivation": self.key_derivation, "digest_method": hashlib.sha256},
                )
            }
        return self._serializers[key]


class _SessionsOnly(LoginManager):  # type: ignore[misc]
    """Flask-Login without its "remember me" cookie, which we never set: whoever sends one is not believed."""

    def _load_user_from_remember_cookie(self, _cookie: str) -> None:
        return None


def init_sessions(app: Flask) -> None:
    """Set up Flask-Login for *app*."""
    app.session_interface = Sessions()
    # Pages are rendered with what they are given: no template asks the database who is logged in.
    manager = _SessionsOnly(app, add_context_processor=False)
    manager.session_protection = None  # it marks sessions as stale for a use that we do not have, and costs a hash
    manager._session_identifier_generator = lambda: None  # noqa: SLF001
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
