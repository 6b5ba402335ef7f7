"""The command that reads the history."""

import sys
from typing import Any

import click
import msgspec

from audit_service.accesses import question_details
from audit_service.cli.connection import actor, open_session
from audit_service.cli.options import options, read_options
from audit_service.cli.table import echo_table
from audit_service.environment import load_settings
from audit_service.errors import ParameterError
from audit_service.history.cursor import Cursors
from audit_service.history.filters import LoginFilters, Order, Question
from audit_service.history.items import LoginItem
from audit_service.history.parameters import Page
from audit_service.history.query import list_events
from audit_service.outages import DATABASE_ERRORS
from audit_service.trail.append import store
from audit_service.vocabulary import AdminAction

COLUMNS = ("timestamp", "action", "outcome", "reason", "username", "remote_addr", "method")


@click.command()
@options(LoginFilters, Page)
def history(**given: Any) -> None:
    """Show logins, failed logins and logouts.

    As a table on a terminal, times in UTC; else one JSON object a line, with all fields. The options are the parameters
    of GET /api/logins. If there is more, the cursor for it is printed to stderr, in the order of arrival always.
    """
    filters, page = read_options(given, LoginFilters, Page)
    question = Question(item=LoginItem, filters=filters, order=page.order)
    with open_session() as session:
        cursors = Cursors(load_settings().signing_key(), question)
        try:
            after = None if page.cursor is None else cursors.decode(page.cursor)
        except ParameterError as error:
            raise click.UsageError(f"--cursor: {error.detail}") from None
        items, position = list_events(session, question, limit=page.limit, after=after)
    record_look(AdminAction.HISTORY_READ, "audit-service history", given)  # before: who reads may leave in the middle
    if sys.stdout.isatty():
        echo_table(COLUMNS, [[getattr(item, column) for column in COLUMNS] for item in items])
    else:
        for item in items:
            click.echo(msgspec.json.encode(item))
    if position:
        what = "what comes later" if page.order is Order.ARRIVAL else "there is more"
        click.echo(f"{what}: --cursor {cursors.encode(position)}", err=True)


def record_look(action: AdminAction, target: str, given: dict[str, Any]) -> None:
    """Record that somebody looked, with which options. What cannot be recorded keeps nobody from reading."""
    try:
        with open_session(writes=True) as session:
            store(session.connection(), [actor().did(action, target, question_details(given))])
    except DATABASE_ERRORS as error:
        click.echo(f"this look could not be recorded: {type(error).__name__}", err=True)
