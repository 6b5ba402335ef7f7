"""Changes of accounts and tokens, looks at the history, starts and stops of recording."""

from datetime import datetime
from typing import Annotated, Any, Generic

import msgspec

from audit_service.events.base import Erasable, EventFilters, Kind, NewEvent, detail_filter, text_filter, word_filter
from audit_service.values import limits
from audit_service.vocabulary import AdminAction


class AdminFields(NewEvent, Generic[Erasable], kw_only=True, frozen=True):
    """The fields of an admin event, new or stored."""

    actor: Erasable
    action: AdminAction
    target: str | None = None
    details: dict[str, Any] | None = None


class NewAdmin(AdminFields[str], kw_only=True, frozen=True):
    """A change of accounts or tokens, a look at the history, the start or stop of recording."""


class AdminItem(AdminFields[str | None], kw_only=True, frozen=True):
    """One row of ``admin_events``."""

    seq: int
    recorded_at: datetime


ActorName = Annotated[str, text_filter(limits.USERNAME, "who did it")]
ActionWord = Annotated[AdminAction, word_filter(AdminAction, "what was done")]
Target = Annotated[str, text_filter(limits.TARGET, "what it was done to")]


class AdminFilters(EventFilters, frozen=True, kw_only=True):
    """Filters for admin events."""

    actor: list[ActorName] = []
    actor_not: list[ActorName] = []
    action: list[ActionWord] = []
    action_not: list[ActionWord] = []
    target: list[Target] = []
    target_not: list[Target] = []
    details: list[Annotated[str, detail_filter()]] = []


ADMIN_EVENTS = Kind(
    name="admin",
    table="admin_events",
    collection="admin-events",
    command="changes",
    what="changes of accounts and tokens, looks at the history, starts and stops",
    new=NewAdmin,
    item=AdminItem,
    filters=AdminFilters,
    columns=("timestamp", "actor", "action", "target", "remote_addr"),
    names=("actor", "target"),
    null_if_erased="actor",
    indexed=("actor", "target"),
)


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
