"""Commands that read the history."""

import sys
from typing import Any

import click
import msgspec

from audit_service.cli.connection import actor, change, open_session
from audit_service.cli.options import options, read_options
from audit_service.cli.table import echo_table
from audit_service.errors import ParameterError
from audit_service.events.base import Kind
from audit_service.events.kinds import KINDS
from audit_service.events.logins import LOGINS
from audit_service.history.cursor import Cursors
from audit_service.history.parameters import Paging
from audit_service.history.query import list_events
from audit_service.history.question import Order, Question
from audit_service.storage.outages import DATABASE_ERRORS
from audit_service.trail.append import append_within
from audit_service.trail.looks import question_details
from audit_service.vocabulary import AdminAction

CURSOR_KEY = "the command line"  # need not be secret: the command reads the database itself


class LoginsByDefault(click.Group):
    """A group that takes options without a command for those of ``logins``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command before what is not for the group itself."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [LOGINS.collection, *args]
        return super().parse_args(ctx, args)


@click.group(cls=LoginsByDefault)
def history() -> None:
    """Show a page of the history; without a command, of logins: 'history --username ada'.

    As a table on a terminal, times in UTC; else one JSON object a line, with all fields. The options are the parameters
    of the API. If there are more events, the cursor of the next page is printed to stderr; with '--order arrival' it
    always is.
    """


def _command(kind: Kind) -> click.Command:
    @click.command(kind.collection, help=f"Show {kind.what}.")
    @options(kind.filters, Paging)
    def command(**given: Any) -> None:
        filters, paging = read_options(given, kind.filters, Paging)
        question = Question(kind=kind, filters=filters, order=paging.order)
        with open_session() as session:
            cursors = Cursors(CURSOR_KEY, question)
            try:
                after = None if paging.cursor is None else cursors.decode(paging.cursor)
            except ParameterError as error:
                raise click.UsageError(f"--cursor: {error.detail}") from None
            items, position = list_events(session, question, limit=paging.limit, after=after)
        # Before: the reader of the output may leave in the middle.
        record_look(AdminAction.HISTORY_READ, f"audit-service history {kind.collection}", given)
        if sys.stdout.isatty():
            echo_table(kind.columns, [[getattr(item, column) for column in kind.columns] for item in items])
        else:
            for item in items:
                click.echo(msgspec.json.encode(item))
        if not items:
            click.echo("no event matches" if any(given.values()) else "there is no event yet", err=True)
        if position:
            what = "later events" if paging.order is Order.ARRIVAL else "there is more"
            click.echo(f"{what}: --cursor {cursors.encode(position)}", err=True)

    return command


for _kind in KINDS:
    history.add_command(_command(_kind))


def record_look(action: AdminAction, target: str, given: dict[str, Any]) -> None:
    """Record the look and its options. If that fails the history is shown all the same."""
    try:
        with change(quiet=True) as session:
            append_within(session.connection(), [actor().did(action, target, question_details(given))])
    except DATABASE_ERRORS as error:
        click.echo(f"this look could not be recorded: {type(error).__name__}", err=True)
