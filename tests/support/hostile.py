"""Values that somebody may send who wants pages to run, hide or break what they show."""

from datetime import UTC, datetime, timedelta
from typing import Any

from audit_service.events.admin import NewAdmin
from audit_service.events.base import NewEvent
from audit_service.events.errors import NewError
from audit_service.events.logins import NewLogin
from audit_service.values import limits
from audit_service.vocabulary import Action, AdminAction, Outcome, Reason

SCRIPT = "<script>alert(1)</script>"
IMAGE = """"'><img src=x onerror=alert(1)>"""
MARKUP = SCRIPT + IMAGE + "{{ 7 * 7 }}{% raw %}${7}%(name)s%s&lt;"
BIDI = "שלום \u202egnp.\u2066exe\u2069\u200f"  # turns what follows around
WIDE = (IMAGE + "鬱" * 255)[:255]  # a long word without a place to break at
VALUES = (MARKUP, BIDI, WIDE)
TRACEBACK = f"""Traceback (most recent call last):
  File "/srv/{SCRIPT}/site-packages/{IMAGE}/app.py", line 1, in {SCRIPT}
    {WIDE}
  File "/srv/{BIDI}.py", line 1, in {IMAGE}
    {SCRIPT}{WIDE}
{SCRIPT}: {IMAGE}"""


def hostile_events() -> list[NewEvent]:
    """Return logins, errors and changes: in each of their text fields is each of ``VALUES``."""
    return [event for value in VALUES for event in _with(value)]


def _with(value: str) -> list[NewEvent]:
    now = datetime.now(UTC)
    common: dict[str, Any] = {"app": value[: limits.APP], "remote_addr": "192.0.2.7", "request_id": value[:128]}
    details = {value: value, "list": [value, {value: value}], "events": value, "role": value, "to": value}
    login: dict[str, Any] = {
        "username": value,
        "network": "192.0.2.0/24",
        "user_agent": value * 2,
        "method": value[: limits.METHOD],
        "details": details,
    }
    failed: dict[str, Any] = {"outcome": Outcome.FAILURE, "reason": Reason.OTHER}
    error: dict[str, Any] = {
        "username": value,
        "exception_type": value,
        "message": value * 7,
        "traceback": TRACEBACK,
        "fingerprint": f"1:{value}".replace("/", "|")[: limits.FINGERPRINT],  # of our making: no slash is in it
        "http_method": value[: limits.HTTP_METHOD],
        "path": f"/{value}/" * 7,
        "endpoint": value,
    }
    change: dict[str, Any] = {"actor": value, "target": value, "details": details}
    past = now - timedelta(seconds=1)
    return [
        NewLogin(**common, **login, timestamp=past),
        NewLogin(**common, **login, **failed, timestamp=past),
        NewLogin(**common, **login, action=Action.LOGOUT),
        NewError(**common, **error),
        NewAdmin(**common, **change, action=AdminAction.ROLE_CHANGED),
        NewAdmin(**common, **change, action=AdminAction.EVENTS_IMPORTED),
        NewAdmin(**common, **{**change, "actor": f"cli:{value[:250]}"}, action=AdminAction.ACCOUNT_ADDED),
    ]
