"""Commands that read the history."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click
from sqlalchemy.orm import Session

from audit_service.cli.connection import open_engine
from audit_service.cli.figures import first_seen_, last, last_logins_, sessions, summary
from audit_service.cli.follow import BEFORE, follow
from audit_service.cli.looks import record_look
from audit_service.cli.options import TIMES, Zone, json_option, options, read_options
from audit_service.cli.show import View, echo_span
from audit_service.errors import ParameterError
from audit_service.events.base import EventFilters
from audit_service.events.kinds import KINDS
from audit_service.events.logins import LOGINS
from audit_service.events.timeline import TimelineFilters
from audit_service.history.cursor import Cursors, Position
from audit_service.history.parameters import Paging
from audit_service.history.query import list_events
from audit_service.history.question import Order, Question
from audit_service.history.timeline import Timeline, list_timeline
from audit_service.storage.schema import require_newest
from audit_service.vocabulary import AdminAction

CURSOR_KEY = "the command line"  # need not be secret: the command reads the database itself


class LoginsByDefault(click.Group):
    """A group that takes options without a command for those of ``logins``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command before what is not for the group itself."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [LOGINS.command, *args]
        return super().parse_args(ctx, args)


@click.group(cls=LoginsByDefault)
def history() -> None:
    """Show a page of the history; without a command, of logins: 'history --username ada'.

    As a table on a terminal; else one JSON object a line, with all fields. If there are more events, the options of the
    next page are printed to stderr; with '--order arrival' they always are. Times are in UTC, unless '--tz' says
    otherwise.
    """


def _command(name: str, what: str, filters_type: type[EventFilters], columns: tuple[str, ...], asked: Any) -> None:
    @history.command(name, help=f"Show {what}.")
    @click.option("--follow", "is_followed", is_flag=True, help="Show the last ones, and each further one as it comes.")
    @json_option
    @options(filters_type, Paging, Zone)
    def command(*, is_followed: bool, as_json: bool, **given: Any) -> None:
        filters, paging, zone = read_options(given, filters_type, Paging, Zone)
        view = View(columns=columns, zone=ZoneInfo(zone.tz), as_json=as_json)

        def ask(session: Session, order: Order, limit: int, after: Position | None) -> tuple[list[Any], Any]:
            ask_for, question = asked(filters, order)
            found: tuple[list[Any], Any] = ask_for(session, question, limit=limit, after=after)
            return found

        with open_engine() as engine:
            require_newest(engine)
            if is_followed:
                if given["order"] or given["cursor"]:
                    raise click.UsageError("--follow goes with neither --order nor --cursor")
                record_look(AdminAction.HISTORY_READ, f"audit-service history {name}", given)
                echo_span(filters.since, filters.until, view.zone)
                follow(engine, ask, view, before=paging.limit if given["limit"] else BEFORE)
                return
            cursors = Cursors(CURSOR_KEY, asked(filters, paging.order)[1])
            try:
                after = None if paging.cursor is None else cursors.decode(paging.cursor)
            except ParameterError as error:
                raise click.UsageError(f"--cursor: {error.detail}") from None
            with Session(engine) as session, session.begin():
                items, position = ask(session, paging.order, paging.limit, after)
        # Before: the reader of the output may leave in the middle.
        record_look(AdminAction.HISTORY_READ, f"audit-service history {name}", given)
        echo_span(filters.since, filters.until, view.zone)
        view.events(items, datetime.now(UTC))
        if not items:
            click.echo("no event matches" if any(given.values()) else "there is no event yet", err=True)
        if position:
            span = "".join(
                f"--{time} {given[time][0]} " for time in TIMES if given[time]
            )  # words mean another time later
            more = "later events" if paging.order is Order.ARRIVAL else "there is more"
            click.echo(f"{more}: {span}--cursor {cursors.encode(position)}", err=True)


for _kind in KINDS:
    _command(
        _kind.command,
        _kind.what,
        _kind.filters,
        _kind.columns,
        lambda filters, order, kind=_kind: (list_events, Question(kind=kind, filters=filters, order=order)),
    )
_command(
    "events",
    "logins, errors and changes together",
    TimelineFilters,
    ("timestamp", "who", "what", "remote_addr"),
    lambda filters, order: (list_timeline, Timeline(filters=filters, order=order)),
)
for _figures in (summary, last, first_seen_, last_logins_, sessions):
    history.add_command(_figures)
