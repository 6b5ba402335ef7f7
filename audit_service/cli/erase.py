"""The command that erases personal data from the history."""

from datetime import UTC, datetime
from typing import Any

import click

from audit_service.cli.connection import actor, current_settings, open_engine
from audit_service.cli.options import read_options
from audit_service.cli.table import echo_table
from audit_service.cli.text import TEXT
from audit_service.errors import AuditError
from audit_service.history.parameters import Name
from audit_service.operations.erasure import Found, Wish, find, forget
from audit_service.operations.erasure import erase as erase_events
from audit_service.operations.remains import clean, clean_file
from audit_service.proofs.entry import Group
from audit_service.proving.erasing import Erasing
from audit_service.settings.table import Settings
from audit_service.signing.database import Database
from audit_service.storage.schema import require_newest
from audit_service.trail.identity import Identity
from audit_service.trail.spool import Spool
from audit_service.values.when import WHEN, parse_when

BEYOND = (
    "What this cannot reach: backups, archives of the write-ahead log, replicas until they follow, exports, bundles "
    "that were handed out, logs, and names inside of other texts (messages, paths, details). It is erased when the "
    "last backup has expired. Accounts stay."
)
READERS = "Somebody reads the database, and its log keeps what was erased: run this again, or end the service once"


class _Groups(click.ParamType):  # type: ignore[type-arg]  # generic in some releases only
    name = "groups"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Group, ...]:
        words = {word.strip() for word in TEXT.convert(value, param, ctx).split(",")}
        if words - set(Group):
            self.fail(f"must be {' or '.join(Group)}, or both with a comma between", param, ctx)
        return tuple(group for group in Group if group in words)


@click.command()
@click.option(
    "--username", type=TEXT, help="From events that name this user, exactly, in any of their fields for names."
)
@click.option("--before", type=TEXT, help=f"From all events before {WHEN}; in UTC.")
@click.option(
    "--groups",
    type=_Groups(),
    help="who (names, details, texts of errors), where (addresses, browsers, request ids), or both: who,where. "
    "Default: both of a user, where before a time.",
)
@click.option("--reason", type=TEXT, help="Why, for those who read the history; without the name.")
@click.option("--dry-run", is_flag=True, help="Only show which events it would be.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(*, dry_run: bool, yes: bool, reason: str | None, **given: Any) -> None:
    """Erase personal data from events, for good; that they happened, and that nothing else was changed, stays provable.

    An event says who it was and where they were. Erased, both are empty: it still says when, in which app, what, and
    how it ended. Names in other case are other names. Needs the database user that owns the tables.
    """
    wish = _wish(**given)
    if not (reason or dry_run):
        raise click.UsageError("--reason: it must be given: it stays in the history")
    if wish.username and wish.username.casefold() in (reason or "").casefold():
        raise click.UsageError("--reason: it must not have the name in it: it stays in the history for ever")
    settings = current_settings()
    with open_engine() as engine:
        require_newest(engine)
    waiting = _require_empty_spool(settings)
    with Database(settings.url) as database:
        with database.read() as connection:
            found = find(connection, wish)
        _show(found, wish)
        if dry_run:
            return
        if not yes:
            click.confirm("Erase this for good?", abort=True)
        _erase(database, found, wish, reason or "")
    with_readers = not clean(settings.url)
    if waiting and waiting.path.exists():
        with_readers |= not clean_file(waiting.path)
    if with_readers:
        click.echo(READERS, err=True)
    click.echo(BEYOND)


def _wish(username: str | None, before: str | None, groups: tuple[Group, ...] | None) -> Wish:
    if (username is None) == (before is None):
        raise click.UsageError("give either --username or --before")
    if username is not None:
        (name,) = read_options({"username": [username]}, Name)
        return Wish(name.username, None, groups or tuple(Group))
    try:
        time = parse_when(before or "", UTC, datetime.now(UTC))
    except ValueError as error:
        raise click.UsageError(f"--before {error}") from None
    return Wish(None, time, groups or (Group.WHERE,))


def _require_empty_spool(settings: Settings) -> Spool | None:
    """Return the spool, if it is on. Raises ``AuditError`` while events wait in it: nobody knows whose they are."""
    if settings.spool_path is None:
        return None
    spool = Spool(settings.spool_path, Identity(settings.url))
    state = spool.state()
    spool.close()
    if state.length:
        raise AuditError(f"{state.length} events wait in the spool: run 'audit-service spool replay' first")
    if state.rejected:
        click.echo(f"{state.rejected} events that were rejected stay in {str(settings.spool_path)!r}", err=True)
    return spool


def _show(found: list[Found], wish: Wish) -> None:
    if not found:
        click.echo("there is nothing to erase in any event")
        return
    rows = [(len(each.seqs), each.kind.what, each.first, each.last) for each in found]
    echo_table(("events", "of", "first", "last"), rows)
    click.echo(f"to be erased from them: {' and '.join(wish.groups)}")


def _erase(database: Database, found: list[Found], wish: Wish, reason: str) -> None:
    task, count = Erasing(wish.groups, actor(), reason), 0
    with click.progressbar(length=sum(len(each.seqs) for each in found), label="erasing") as bar:
        for each in found:
            count += erase_events(database, each, task, bar.update)
    click.echo(f"erased {' and '.join(wish.groups)} from {count} {'event' if count == 1 else 'events'}")
    if wish.username is not None and (forgotten := forget(database, wish.username)):
        click.echo(f"deleted {forgotten} sessions and counts of refused attempts")
