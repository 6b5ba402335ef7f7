"""Events on their way into the trail. Same field names as the columns of ``models``, the JSON and the CSV."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import field
from uuid_utils.compat import uuid7

from audit_service.vocabulary import Action, AdminAction, Outcome, Reason


def _now() -> datetime:
    return datetime.now(UTC)


class NewEvent(msgspec.Struct, kw_only=True, frozen=True):
    """What every event has. Its id is made with it: storing the same id twice is storing it once."""

    id: UUID = field(default_factory=uuid7)
    timestamp: datetime = field(default_factory=_now)
    app: str
    remote_addr: str | None = None
    request_id: str | None = None


class NewLogin(NewEvent, kw_only=True, frozen=True):
    """A login, failed login or logout."""

    username: str
    network: str | None = None
    action: Action = Action.LOGIN
    outcome: Outcome = Outcome.SUCCESS
    reason: Reason | None = None
    user_agent: str | None = None
    method: str | None = None
    details: dict[str, Any] | None = None


class NewError(NewEvent, kw_only=True, frozen=True):
    """An unhandled exception."""

    username: str | None = None
    exception_type: str
    message: str
    traceback: str
    fingerprint: str
    http_method: str | None = None
    path: str | None = None
    endpoint: str | None = None


class NewAdmin(NewEvent, kw_only=True, frozen=True):
    """A change of accounts or tokens, a look at the history, the start or stop of recording."""

    actor: str
    action: AdminAction
    target: str | None = None
    details: dict[str, Any] | None = None


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who does what an admin event tells: an account by its name, ``token:NAME``, or ``cli:USER`` of the system."""

    name: str
    app: str
    remote_addr: str | None = None
    request_id: str | None = None

    def did(self, action: AdminAction, target: str | None = None, details: dict[str, Any] | None = None) -> NewAdmin:
        """Return the event that says so."""
        return NewAdmin(
            app=self.app,
            remote_addr=self.remote_addr,
            request_id=self.request_id,
            actor=self.name,
            action=action,
            target=target,
            details=details,
        )
