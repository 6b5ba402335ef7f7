"""Logins, failed logins and logouts."""

from datetime import datetime
from typing import Annotated, Any, Generic

from audit_service.events.base import (
    Erasable,
    EventFilters,
    Kind,
    NewEvent,
    detail_filter,
    part_filter,
    text_filter,
    word_filter,
)
from audit_service.values import limits
from audit_service.vocabulary import Action, Outcome, Reason


class LoginFields(NewEvent, Generic[Erasable], kw_only=True, frozen=True):
    """The fields of a login, new or stored."""

    username: Erasable
    network: str | None = None
    action: Action = Action.LOGIN
    outcome: Outcome = Outcome.SUCCESS
    reason: Reason | None = None
    user_agent: str | None = None
    method: str | None = None
    details: dict[str, Any] | None = None


class NewLogin(LoginFields[str], kw_only=True, frozen=True):
    """A login, failed login or logout."""


class LoginItem(LoginFields[str | None], kw_only=True, frozen=True):
    """One row of ``login_events``."""

    seq: int
    recorded_at: datetime


Username = Annotated[str, text_filter(limits.USERNAME, "the name, exactly")]
ActionWord = Annotated[Action, word_filter(Action, "what was done")]
OutcomeWord = Annotated[Outcome, word_filter(Outcome, "how it ended")]
ReasonWord = Annotated[Reason, word_filter(Reason, "why it failed")]
Method = Annotated[str, text_filter(limits.METHOD, "how the user proved who they are")]


class LoginFilters(EventFilters, frozen=True, kw_only=True):
    """Filters for logins, failed logins and logouts."""

    username: list[Username] = []
    username_not: list[Username] = []
    username_i: list[Annotated[str, text_filter(limits.USERNAME, "the name, whatever its case (A to Z)")]] = []
    username_prefix: list[Annotated[str, part_filter(limits.USERNAME, "how the name begins, whatever its case")]] = []
    action: list[ActionWord] = []
    action_not: list[ActionWord] = []
    outcome: list[OutcomeWord] = []
    outcome_not: list[OutcomeWord] = []
    reason: list[ReasonWord] = []
    reason_not: list[ReasonWord] = []
    method: list[Method] = []
    method_not: list[Method] = []
    user_agent_contains: list[
        Annotated[str, part_filter(limits.USER_AGENT, "a part of the browser's name, whatever its case")]
    ] = []
    details: list[Annotated[str, detail_filter()]] = []


LOGINS = Kind(
    name="login",
    table="login_events",
    collection="logins",
    command="logins",
    what="logins, failed logins and logouts",
    new=NewLogin,
    item=LoginItem,
    filters=LoginFilters,
    columns=("timestamp", "action", "outcome", "reason", "username", "remote_addr", "method"),
    names=("username",),
    null_if_erased="username",
    owner="username",
    has_ids_from_outside=True,
    indexed=("request_id", "username", "remote_addr", "reason", "app", "method"),
    folded=("username",),
    indexed_words={"outcome": Outcome.FAILURE, "action": Action.LOGOUT},
)
