"""The history in figures: logins counted, the last of a name, errors in groups."""

from datetime import UTC, datetime

from flask import Response

from audit_service.access.viewer import owner_of_view, record_reading
from audit_service.api.answers import readable_answer
from audit_service.api.operations import Access, json_of, operation
from audit_service.context import Viewer, current_context, read_session
from audit_service.events.errors import ErrorFilters
from audit_service.events.logins import LoginFilters
from audit_service.history.accounts import AccountLogins, account_logins
from audit_service.history.first_seen import FirstsSeen, first_seen
from audit_service.history.groups import ErrorGroups, group_errors
from audit_service.history.last import LastLogins, last_logins
from audit_service.history.parameters import GroupLimit, Idle, Most, Name, Span
from audit_service.history.sessions import LiveSessions, live_sessions
from audit_service.history.summary import summarise
from audit_service.history.summing import Summary, Summing
from audit_service.values import limits

_SPAN = f"of the last {limits.DAYS_BY_DEFAULT} days, unless `since` says otherwise"


@operation(
    "/logins/summary",
    "Count logins by time, by a field or by two",
    f"Counts logins, failed logins and logouts {_SPAN}. With `then` each count says how many different values a second "
    "field has, and which are the most frequent.",
    takes=(LoginFilters, Summing),
    answer=json_of(Summary),
)
def summarise_logins(viewer: Viewer, filters: LoginFilters, summing: Summing) -> Response:
    """Count logins, failed logins and logouts by hour, day, username, and others."""
    record_reading(viewer)
    now = datetime.now(UTC)
    return readable_answer(summarise(read_session(), filters, summing, owner=owner_of_view(viewer), now=now))


@operation(
    "/logins/last",
    "The last logins of a name",
    "The last that succeeded, the last that failed, and how many failed since the one that succeeded.",
    takes=(Name,),
    answer=json_of(LastLogins),
)
def show_last_logins(viewer: Viewer, name: Name) -> Response:
    """Show the last login of a name that succeeded, the last that failed, and the failures since."""
    record_reading(viewer)
    return readable_answer(last_logins(read_session(), name.username, owner=owner_of_view(viewer)))


@operation(
    "/logins/first-seen",
    "Names from new networks",
    f"The names and the networks that they logged in from for the first time: logins {_SPAN}.",
    takes=(Span, Most),
    answer=json_of(FirstsSeen),
)
def list_first_seen(viewer: Viewer, span: Span, most: Most) -> Response:
    """List names and networks that were first seen together in a time, the newest first."""
    record_reading(viewer)
    owner, now = owner_of_view(viewer), datetime.now(UTC)
    return readable_answer(first_seen(read_session(), span, owner=owner, limit=most.limit, now=now))


@operation(
    "/accounts/last-logins",
    "The last login of every account",
    "The accounts of the service, those that have been away the longest first; with `days` only those without a login "
    "in so many days. An account that never logged in counts from when it was made.",
    takes=(Idle,),
    answer=json_of(AccountLogins),
    access=Access.AUDITORS,
)
def list_account_logins(viewer: Viewer, idle: Idle) -> Response:
    """List the accounts with their last login."""
    record_reading(viewer)
    return readable_answer(account_logins(read_session(), days=idle.days, limit=idle.limit, now=datetime.now(UTC)))


@operation(
    "/sessions",
    "Who is logged in",
    "The sessions of accounts of the service that are alive, the one that was seen last first: since when, and when, "
    "from where and with what its last request came, to the minute.",
    takes=(Most,),
    answer=json_of(LiveSessions),
    access=Access.AUDITORS,
)
def list_sessions(viewer: Viewer, most: Most) -> Response:
    """List the sessions that are alive."""
    record_reading(viewer)
    settings = current_context().settings
    return readable_answer(live_sessions(read_session(), settings, limit=most.limit, now=datetime.now(UTC)))


@operation(
    "/errors/groups",
    "Errors by fingerprint",
    f"Groups the errors {_SPAN}; the newest group first.",
    takes=(ErrorFilters, GroupLimit),
    answer=json_of(ErrorGroups),
    access=Access.AUDITORS,
)
def list_error_groups(viewer: Viewer, filters: ErrorFilters, groups: GroupLimit) -> Response:
    """List the errors by fingerprint: how many, the first, the last, and the newest as an example."""
    record_reading(viewer)
    return readable_answer(group_errors(read_session(), filters, limit=groups.limit, now=datetime.now(UTC)))
