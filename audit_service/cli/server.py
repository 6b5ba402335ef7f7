"""Commands that bring the service up."""

import secrets

import click
from granian.constants import Interfaces
from granian.server import Server
from sqlalchemy.orm import Session

from audit_service import schema
from audit_service.accounts import add_account, list_accounts
from audit_service.cli.connection import open_engine
from audit_service.settings import load_settings
from audit_service.tokens import add_token
from audit_service.vocabulary import Role, Scope

FIRST_ACCOUNT = "admin"
FIRST_TOKEN = "first"  # noqa: S105 - its name


@click.command()
def migrate() -> None:
    """Bring the database to the newest revision."""
    with open_engine(writes=True) as engine:
        before = schema.current_revision(engine)
        schema.migrate(engine)
        after = schema.current_revision(engine)
    click.echo(f"the database is at revision {after}" + ("" if before == after else f" (was {before or 'empty'})"))


@click.command()
@click.pass_context
def setup(ctx: click.Context) -> None:
    """Migrate; then, if there is no account yet, make one and a read token and print both, once."""
    ctx.invoke(migrate)
    with open_engine(writes=True) as engine, Session(engine) as session:
        if list_accounts(session):
            return
        password = secrets.token_urlsafe(15)
        token = add_token(session, FIRST_TOKEN, Scope.READ)
        add_account(session, FIRST_ACCOUNT, Role.ADMIN, password)
    click.echo("\nThe first account and read token; they are not shown again:\n")
    click.echo(f"  username  {FIRST_ACCOUNT}\n  password  {password}\n  token     {token}\n")


@click.command()
def serve() -> None:
    """Serve on AUDIT_HOST and AUDIT_PORT; SIGTERM and Ctrl-C stop it."""
    settings = load_settings()
    settings.signing_key()  # what is missing is said here, once, and not by each worker
    with open_engine(settings) as engine:
        schema.require_newest(engine)
    click.echo(f"serving on http://{settings.host}:{settings.port} (Ctrl-C stops)")
    Server(
        "audit_service.app:create_app",
        factory=True,
        interface=Interfaces.WSGI,
        address=settings.host,
        port=settings.port,
        workers=settings.workers,
        blocking_threads=settings.threads,
        respawn_failed_workers=True,
        websockets=False,
        log_access=False,
    ).serve()
