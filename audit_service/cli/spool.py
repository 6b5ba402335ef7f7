"""Commands for the spool: events that wait for the database."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from audit_service.cli.connection import current_settings, open_engine
from audit_service.events.base import NewEvent
from audit_service.settings.table import Settings
from audit_service.storage.schema import require_newest
from audit_service.trail.identity import Identity
from audit_service.trail.keeper import is_poison
from audit_service.trail.link import Link
from audit_service.trail.spool import Spool


@click.group()
def spool() -> None:
    """Events that are stored in a file while the database is away."""


@spool.command()
def status() -> None:
    """Show how many events wait, and for how long; also those of other trails."""
    settings = current_settings()
    events = Spool(_path(settings), Identity(settings.url))
    state = events.state()
    click.echo(f"waiting   {state.length}")
    click.echo(f"oldest    {'-' if state.oldest_age is None else f'{state.oldest_age:.0f} s ago'}")
    click.echo(f"foreign   {state.foreign}")
    click.echo(f"rejected  {state.rejected}")
    for other in events.others():
        since = datetime.fromtimestamp(other.since, UTC)
        click.echo(
            f"{other.length} since {since:%Y-%m-%dT%H:%M:%SZ} for trail {other.trail or 'unknown'} at {other.target}"
        )


@spool.command()
def replay() -> None:
    """Move the events that wait for this trail into it.

    The service does this by itself. An event that is in the trail already is not stored twice. To move the events
    of another trail, run this with its AUDIT_DATABASE_URL.
    """
    settings = current_settings()
    identity = Identity(settings.url)
    events = Spool(_path(settings), identity)
    with open_engine() as engine:
        require_newest(engine)
    link = Link(settings.url, settings.write_timeout, identity=identity)
    trail = link.probe(time.monotonic() + settings.write_timeout)

    def append(batch: list[NewEvent]) -> None:
        link.append(batch, time.monotonic() + settings.write_timeout, trail)

    replayed = 0
    with click.progressbar(length=events.state().length, label="replaying") as bar:
        for count in events.replay(append, is_poison, trail):
            replayed += count
            bar.update(count)
    link.close()
    left = events.state()
    click.echo(f"replayed {replayed}, waiting {left.length}, rejected {left.rejected}, foreign {left.foreign}")


def _path(settings: Settings) -> Path:
    if settings.spool_path is None:
        raise click.UsageError("the spool is off (AUDIT_SPOOL)")
    return settings.spool_path
