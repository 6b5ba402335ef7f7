"""Commands that show the history in figures."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import click

from audit_service.cli.connection import current_settings, open_session
from audit_service.cli.looks import record_look
from audit_service.cli.options import Zone, json_option, options, read_options
from audit_service.cli.show import ERASED, View, echo_json, echo_span
from audit_service.cli.table import echo_table
from audit_service.cli.text import TEXT
from audit_service.events.logins import LOGINS, LoginFilters
from audit_service.history.accounts import account_logins
from audit_service.history.first_seen import first_seen
from audit_service.history.last import last_logins
from audit_service.history.parameters import Idle, Most, Name, Span
from audit_service.history.sessions import live_sessions
from audit_service.history.summary import summarise
from audit_service.history.summing import By, Count, Summary, Summing
from audit_service.values.when import ago
from audit_service.vocabulary import AdminAction


@click.command()
@json_option
@options(LoginFilters, Summing)
def summary(*, as_json: bool, **given: Any) -> None:
    """Count logins, failed logins and logouts: of the last 30 days, unless --since says otherwise."""
    filters, summing = read_options(given, LoginFilters, Summing)
    with open_session() as session:
        found = summarise(session, filters, summing, owner=None, now=datetime.now(UTC))
    record_look(AdminAction.HISTORY_READ, "audit-service history summary", given)
    zone = ZoneInfo(summing.tz)
    echo_span(found.since, found.until, zone)
    if not View(zone=zone, as_json=as_json).is_table:
        echo_json(found)
    elif not found.items:
        click.echo("nothing in this time")
    else:
        second = [found.then.value, "the most frequent"] if found.then else []
        echo_table([found.by.value, "events", "failures", *second], [_row(count, found) for count in found.items])


def _row(count: Count, found: Summary) -> list[object]:
    row: list[object] = [_key(count.key, found.by), count.count, count.failures]
    if count.parts is None:
        return row
    parts = [f"{_key(part.key, found.then)} {part.count}" for part in count.parts[:3]]
    return [*row, count.distinct, ", ".join(parts)]


def _key(key: str | None, by: StrEnum | None) -> str:
    """Return what stands for a key; only a name that was erased is none."""
    if key is None:
        return ERASED if by == By.USERNAME else "(none)"
    return key


@click.command()
@click.argument("username", type=TEXT)
@json_option
@options(Zone)
def last(username: str, *, as_json: bool, **given: Any) -> None:
    """Show the last login of a name that succeeded, the last that failed, and the failures since."""
    (zone,) = read_options(given, Zone)
    (name,) = read_options({"username": [username]}, Name)
    with open_session() as session:
        found = last_logins(session, name.username, owner=None)
    record_look(AdminAction.HISTORY_READ, "audit-service history last", {"username": [username]})
    view = View(columns=LOGINS.columns, zone=ZoneInfo(zone.tz), as_json=as_json)
    if not view.is_table:
        echo_json(found)
        return
    view.events([each for each in (found.last_success, found.last_failure) if each], datetime.now(UTC))
    click.echo(f"failures since the last login that succeeded: {found.failures_since}")


@click.command("first-seen")
@json_option
@options(Span, Most, Zone)
def first_seen_(*, as_json: bool, **given: Any) -> None:
    """Show names that logged in from a new network: in the last 30 days, unless --since says otherwise."""
    span, most, zone = read_options(given, Span, Most, Zone)
    with open_session() as session:
        found = first_seen(session, span, owner=None, limit=most.limit, now=datetime.now(UTC))
    record_look(AdminAction.HISTORY_READ, "audit-service history first-seen", given)
    view = View(zone=ZoneInfo(zone.tz), as_json=as_json)
    echo_span(found.since, found.until, view.zone)
    if not view.is_table:
        echo_json(found)
        return
    rows = [(view.time(each.first), each.username, each.network, each.count, each.is_new) for each in found.items]
    echo_table(("first", "username", "network", "logins", "new name"), rows)


@click.command("last-logins")
@json_option
@options(Idle, Zone)
def last_logins_(*, as_json: bool, **given: Any) -> None:
    """Show the last login of every account of the service, those that have been away the longest first."""
    asked, zone = read_options(given, Idle, Zone)
    now = datetime.now(UTC)
    with open_session() as session:
        found = account_logins(session, days=asked.days, limit=asked.limit, now=now)
    record_look(AdminAction.HISTORY_READ, "audit-service history last-logins", given)
    view = View(zone=ZoneInfo(zone.tz), as_json=as_json)
    if not view.is_table:
        echo_json(found)
        return
    rows = [
        (each.username, each.role, *_last(each.last_login_at, view, now), "disabled" if each.disabled_at else "")
        for each in found.items
    ]
    echo_table(("username", "role", "last login", "", "state"), rows)


@click.command()
@json_option
@options(Most, Zone)
def sessions(*, as_json: bool, **given: Any) -> None:
    """Show who is logged in: the sessions of the service's accounts, the one that was seen last first.

    An app has its own sessions, of which this knows nothing.
    """
    most, zone = read_options(given, Most, Zone)
    now = datetime.now(UTC)
    with open_session() as session:
        found = live_sessions(session, current_settings(), limit=most.limit, now=now)
    record_look(AdminAction.HISTORY_READ, "audit-service history sessions", given)
    view = View(columns=(), zone=ZoneInfo(zone.tz), as_json=as_json)
    if not view.is_table:
        echo_json(found)
    elif not found.items:
        click.echo("nobody is logged in with an account of the service")
    else:
        rows = [
            (
                *(each.username, each.role, view.time(each.started_at), ago(each.seen_at, now)),
                *(each.remote_addr, each.user_agent),
            )
            for each in found.items
        ]
        echo_table(("username", "role", "since", "last seen", "remote_addr", "user_agent"), rows)


def _last(time: datetime | None, view: View, now: datetime) -> tuple[str, str]:
    return (view.time(time), ago(time, now)) if time else ("never", "")
