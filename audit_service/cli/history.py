"""The command that reads the history."""

import click
import msgspec
from sqlalchemy.exc import SQLAlchemyError

from audit_service.cli.connection import actor, open_session
from audit_service.cli.table import echo_table
from audit_service.history.filters import LoginFilters
from audit_service.history.items import LoginItem
from audit_service.history.query import list_events
from audit_service.trail.append import store
from audit_service.vocabulary import AdminAction

COLUMNS = ("timestamp", "action", "outcome", "reason", "username", "remote_addr", "method")


@click.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, all fields.")
def history(limit: int, *, as_json: bool) -> None:
    """Show the newest logins and logouts.

    Failed ones, too; newest first, times in UTC.
    """
    with open_session() as session:
        items, _more = list_events(session, LoginItem, LoginFilters(), limit=limit)
    if as_json:
        for item in items:
            click.echo(msgspec.json.encode(item))
    else:
        echo_table(COLUMNS, [[getattr(item, column) for column in COLUMNS] for item in items])
    _record_look()


def _record_look() -> None:
    """Whoever looks is in the history, too. What cannot be recorded keeps nobody from reading."""
    try:
        with open_session(writes=True) as session:
            store(session.connection(), [actor().did(AdminAction.HISTORY_READ, "audit-service history")])
    except SQLAlchemyError as error:
        click.echo(f"this look could not be recorded: {type(error).__name__}", err=True)
