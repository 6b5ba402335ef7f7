"""The command that fills a trail with a month that could have been."""

import secrets
import sys
from datetime import UTC, datetime

import click
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from audit_service.access.accounts import add_account, list_accounts
from audit_service.cli.connection import actor, change, current_settings, open_session
from audit_service.cli.server import migrate
from audit_service.events.kinds import KINDS
from audit_service.events.logins import LOGINS
from audit_service.operations.demo import APP, PEOPLE, demo_events
from audit_service.storage.models import table_of
from audit_service.trail.recorder import Recorder
from audit_service.vocabulary import Role

BATCH = 200  # events
ROLES = {"ada": Role.ADMIN, "bob": Role.ADMIN, "eve": Role.AUDITOR}  # who is not named is a user


@click.command()
@click.pass_context
def demo(ctx: click.Context) -> None:
    """Fill an empty database with a month of made-up events, to look at.

    Makes accounts and prints their password, once. Refuses a database that has events of its own.
    """
    ctx.invoke(migrate, yes=False)
    with open_session() as session:
        if _is_filled(session):
            click.echo("the demonstration is there already")
            return
        if _has_events(session) or list_accounts(session):
            raise click.ClickException(
                "this database has accounts or events of its own: name an empty one "
                "(AUDIT_DATABASE_URL, AUDIT_DATA_DIR)"
            )
    _record_month()
    password = secrets.token_urlsafe(12)
    with change() as session:
        for person in PEOPLE:
            add_account(session, person.name, ROLES.get(person.name, Role.USER), password, by=actor())
    click.echo(f"\nLog in as ada (admin), eve (auditor) or carol (user) with the password {password}\n")


def _record_month() -> None:
    settings = current_settings()
    recorder = Recorder(settings.url, timeout=settings.write_timeout)
    events = demo_events(datetime.now(UTC))
    parts = [events[place : place + BATCH] for place in range(0, len(events), BATCH)]
    try:
        with click.progressbar(parts, label=f"recording {len(events)} events", file=sys.stderr) as bar:
            for part in bar:
                recorder.record_all(part)
    finally:
        recorder.stop()


def _is_filled(session: Session) -> bool:
    table = table_of(LOGINS)
    return bool(session.scalar(select(exists().where(table.c.app == APP)))) and bool(list_accounts(session))


def _has_events(session: Session) -> bool:
    """Tell whether there are events of any kind; those of the demonstration count, too."""
    return any(session.scalar(select(exists().select_from(table_of(kind)))) for kind in KINDS)
