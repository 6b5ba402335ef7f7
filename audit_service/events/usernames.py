"""Usernames that match no account, as they are stored: people type passwords into the wrong box."""

import hashlib
import hmac
from collections.abc import Callable

from audit_service.values import limits
from audit_service.values.text import REPLACEMENT, clean

MASKED = "***"
HASHED = "hash:"
ACTORS = ("cli:", "token:", "network:")  # actors of admin events that are no accounts
ANY = "*"  # attempts under many names, counted together


def is_reserved(name: str) -> bool:
    """Tell whether *name* stands for others, so that no account can have it."""
    return name in (MASKED, ANY) or name.startswith((HASHED, *ACTORS))


def unknown(username: str, policy: str, key: Callable[[], str]) -> str:
    """Return what is stored for a *username* that matches no account.

    *policy* is ``AUDIT_UNKNOWN_USERNAMES``: "keep" it; "hash" it with the *key* (HMAC-SHA256, RFC 2104: the same name
    is the same text, as long as the key stays); or "mask" it, so that nothing is left. A kept name that stands for
    others is marked, so that it cannot be taken for one that the service has made.
    """
    name = clean(username, limits.USERNAME)
    if policy == "keep":
        return clean(REPLACEMENT + name, limits.USERNAME) if is_reserved(name) else name
    if policy == "mask":
        return MASKED
    digest = hmac.digest(f"unknown usernames {key()}".encode(), name.encode(), hashlib.sha256)
    return HASHED + digest.hex()[:32]
