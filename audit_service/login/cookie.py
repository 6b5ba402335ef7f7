"""The session cookie: signed, and as strict as the request allows."""

import hashlib
from typing import Any

import msgspec
from flask import Flask, request
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import BadPayload, URLSafeTimedSerializer
from itsdangerous.encoding import base64_decode, base64_encode

NAME = "audit_session"


class _Serializer(URLSafeTimedSerializer):
    """Signed JSON, as Flask's, but not compressed and without Flask's tags for types: our sessions hold no others."""

    def dump_payload(self, obj: Any) -> bytes:
        return base64_encode(msgspec.json.encode(obj))

    def load_payload(self, payload: bytes, *_args: Any, **_kwargs: Any) -> Any:
        try:
            return msgspec.json.decode(base64_decode(payload))
        except msgspec.DecodeError as error:
            raise BadPayload("this session is not one of ours") from error


class CookieSessions(SecureCookieSessionInterface):
    """Flask's sessions in a signed cookie: HttpOnly, SameSite=Lax, Secure and with the prefix ``__Host-`` on https.

    The prefix (RFC 6265bis, section 4.1.3.2) keeps other hosts of the domain from setting the cookie. The serializer is
    made once and not twice a request.
    """

    def __init__(self, *, always_secure: bool) -> None:
        """With *always_secure* the cookie is Secure on http, too: a proxy in front speaks https."""
        self._always_secure = always_secure
        self._serializers: dict[str, _Serializer] = {}

    def get_cookie_secure(self, _app: Flask) -> bool:
        """Tell whether the browser may send the cookie by https only."""
        return self._always_secure or request.is_secure

    def get_cookie_name(self, app: Flask) -> str:
        """Return the name for this request."""
        return f"__Host-{NAME}" if self.get_cookie_secure(app) else NAME

    def get_cookie_path(self, _app: Flask) -> str:
        """Return the path that the prefix asks for."""
        return "/"

    def get_cookie_domain(self, _app: Flask) -> None:
        """Return no domain: this host only, as the prefix asks for."""
        return

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Return the serializer for the app's key; fallback keys and an unset key are Flask's own business."""
        key = app.secret_key
        if not isinstance(key, str) or app.config.get("SECRET_KEY_FALLBACKS"):
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
