"""Commands that bring the logins of other records into the trail."""

import codecs
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from audit_service.cli.connection import actor, current_settings, open_engine
from audit_service.cli.text import TEXT
from audit_service.events.base import NewEvent
from audit_service.operations.text_import import Imported, import_lines, read_lines
from audit_service.storage.schema import require_newest
from audit_service.trail.link import Link
from audit_service.values import limits
from audit_service.values.text import clean
from audit_service.vocabulary import AdminAction

SHOWN = 20  # skipped lines that are named


@click.group("import")
def import_() -> None:
    """Bring logins that were kept elsewhere into the trail."""


class _Zone(click.ParamType):  # type: ignore[type-arg]  # generic in some releases only
    name = "zone"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> ZoneInfo:
        try:
            return ZoneInfo(value)
        except (ValueError, OSError, LookupError):
            self.fail(f"{value!r} is no time zone such as Europe/Berlin or UTC", param, ctx)


class _Encoding(click.ParamType):  # type: ignore[type-arg]
    name = "encoding"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            is_by_lines = "*\n".encode(codecs.lookup(value).name) == b"*\n"
        except (LookupError, UnicodeError):
            is_by_lines = False
        if not is_by_lines:
            self.fail(f"{value!r} is no encoding such as utf-8 or gbk", param, ctx)
        return value


@import_.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--timezone", "zone", type=_Zone(), metavar="ZONE", help="The zone of the times. Default: the system's.")
@click.option("--app", type=TEXT, help="The app that the logins were in. Default: this one.")
@click.option("--encoding", type=_Encoding(), default="utf-8", show_default=True, help="The encoding of the file.")
@click.option("--dry-run", is_flag=True, help="Say what would be imported, and import nothing.")
def text(file: Path, zone: ZoneInfo | None, app: str | None, encoding: str, *, dry_run: bool) -> None:
    """Import the lines "name*YYYY-MM-DD HH:MM:SS.ffffff*address" of FILE as logins that succeeded.

    A line is imported once, however often this is run. Lines that AUDIT_LOGIN_LOG has written are in the trail already.
    """
    settings = current_settings()
    by = actor()
    link = Link(settings.url, settings.write_timeout)
    total = Imported()

    def store(events: Sequence[NewEvent]) -> None:
        link.append(events, time.monotonic() + settings.write_timeout)

    with open_engine() as engine, file.open("rb") as opened:
        require_newest(engine)
        lines = read_lines(opened, clean(app or by.app, limits.APP), zone, encoding)
        try:
            with click.progressbar(length=file.stat().st_size, label="importing", file=sys.stderr) as bar:
                for done in import_lines(lines, engine, len if dry_run else store):
                    total.add(done)
                    bar.update(done.size)
        finally:
            if total.stored and not dry_run:
                store([by.did(AdminAction.EVENTS_IMPORTED, clean(file.name, limits.TARGET), {"events": total.stored})])
            link.close()
    _report(total, zone, dry_run=dry_run)


def _report(total: Imported, zone: ZoneInfo | None, *, dry_run: bool) -> None:
    for number, fault in total.skipped[:SHOWN]:
        click.echo(f"skipped line {number}: it {fault}", err=True)
    if len(total.skipped) > SHOWN:
        click.echo(f"skipped {len(total.skipped) - SHOWN} more lines", err=True)
    if total.doubtful:
        click.echo(
            f"{total.doubtful} of the times were shown twice, as clocks were put back: the first is taken", err=True
        )
    taken = zone.key if zone else f"the system's zone, now {datetime.now().astimezone():%Z (%z)}"
    click.echo(f"times are taken as those of {taken}")
    verb = "would import" if dry_run else "imported"
    click.echo(f"{verb} {total.stored}, in the trail already {total.known}, skipped {len(total.skipped)}")
