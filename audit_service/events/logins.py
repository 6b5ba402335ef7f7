"""Logins, failed logins and logouts."""

from datetime import datetime
from typing import Annotated, Any

from audit_service.events.base import EventFilters, Kind, NewEvent, text_filter, word_filter
from audit_service.values import limits
from audit_service.vocabulary import Action, Outcome, Reason


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


class LoginItem(NewLogin, kw_only=True, frozen=True):
    """One row of ``login_events``."""

    seq: int
    recorded_at: datetime


class LoginFilters(EventFilters, frozen=True, kw_only=True):
    """Filters for logins, failed logins and logouts."""

    username: list[Annotated[str, text_filter(limits.USERNAME, "the name, exactly")]] = []
    action: list[Annotated[Action, word_filter(Action, "what was done")]] = []
    outcome: list[Annotated[Outcome, word_filter(Outcome, "how it ended")]] = []
    reason: list[Annotated[Reason, word_filter(Reason, "why it failed")]] = []
    method: list[Annotated[str, text_filter(limits.METHOD, "how the user proved who they are")]] = []


LOGINS = Kind(
    name="login",
    table="login_events",
    collection="logins",
    what="logins, failed logins and logouts",
    new=NewLogin,
    item=LoginItem,
    filters=LoginFilters,
    columns=("timestamp", "action", "outcome", "reason", "username", "remote_addr", "method"),
    owner="username",
    has_ids_from_outside=True,
    indexed=("request_id", "username", "remote_addr", "reason", "app", "method"),
    indexed_words={"outcome": Outcome.FAILURE, "action": Action.LOGOUT},
)
