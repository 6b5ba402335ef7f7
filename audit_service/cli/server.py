"""Commands that bring the service up."""

import errno
import secrets
import socket
import time
from datetime import UTC, datetime

import click

from audit_service.access.accounts import add_account, list_accounts
from audit_service.access.tokens import add_token
from audit_service.cli.connection import actor, app_fault, change, current_settings, is_made_elsewhere, open_engine
from audit_service.cli.trail import echo_started
from audit_service.errors import AccountError, AuditError, AuditUnavailable, SettingsError
from audit_service.serving.parent import STOP_TIMEOUT
from audit_service.settings.table import Settings
from audit_service.signing.database import Database
from audit_service.signing.lifecycle import start_log
from audit_service.signing.process import SignerProcess
from audit_service.storage import schema
from audit_service.storage.outages import DATABASE_ERRORS, driver_error
from audit_service.trail.recorder import Recorder
from audit_service.vocabulary import AdminAction, Role, Scope

FIRST_ACCOUNT = "admin"
PORT_PATIENCE = STOP_TIMEOUT + 2  # seconds


@click.command()
@click.option("--yes", is_flag=True, help="Make a missing SQLite file outside the data folder without asking.")
def migrate(*, yes: bool) -> None:
    """Bring the database to the newest revision."""
    settings = current_settings()
    if is_made_elsewhere(settings) and not yes:
        click.confirm(f"There is no file {settings.url.database}. Make it (--yes: do not ask)?", abort=True, err=True)
    with open_engine(writes=True, may_be_new=True) as engine:
        before = schema.migrate(engine)
        after = schema.current_revision(engine)
    url = engine.url.set(query={})  # where a password may stand, too
    click.echo(f"{url} is at revision {after}" + ("" if before == after else f" (was {before or 'empty'})"))
    if fault := app_fault():
        click.echo(f"Warning: {fault}", err=True)


@click.command()
@click.option("--yes", is_flag=True, help="Make a missing SQLite file outside the data folder without asking.")
@click.pass_context
def setup(ctx: click.Context, *, yes: bool) -> None:
    """Migrate, and make the first account.

    If there is no account yet, makes one and a read token and prints both, once. May be run again at any time.
    """
    current_settings().signing_key()  # what is missing is said before the credentials are printed
    ctx.invoke(migrate, yes=yes)
    password = secrets.token_urlsafe(15)
    try:
        with change() as session:
            if list_accounts(session):
                click.echo("there are accounts already; 'audit-service accounts add' makes another one")
                return
            add_account(session, FIRST_ACCOUNT, Role.ADMIN, password, by=actor())
            token = add_token(session, f"setup {datetime.now(UTC):%Y-%m-%d %H:%M:%S}", Scope.READ, by=actor())
    except AccountError:  # another setup, at the same time, was first
        return
    click.echo("\nThe first account and read token; they are not shown again:\n")
    click.echo(f"  username  {FIRST_ACCOUNT}\n  password  {password}\n  token     {token}\n")


@click.command()
def serve() -> None:
    """Serve on AUDIT_HOST and AUDIT_PORT; SIGTERM, Ctrl-C and closing the terminal stop it."""
    from audit_service.serving.server import make_server  # noqa: PLC0415 - granian: no other command needs it

    settings = current_settings()
    settings.signing_key()  # what is missing is said here, once, and not by each worker
    with open_engine() as engine:
        schema.require_newest(engine)
    address = free_address(settings.host, settings.port, "AUDIT_HOST, AUDIT_PORT")
    _record(settings, AdminAction.RECORDING_STARTED)
    signer = _start_signer(settings)
    click.echo(f"serving on http://{settings.host}:{settings.port} (Ctrl-C stops)")
    server = make_server(
        "audit_service.app:create_worker", address, settings.port, workers=settings.workers, threads=settings.threads
    )
    try:
        server.serve()
    finally:  # it exits when its workers end again and again
        try:
            _record(settings, AdminAction.RECORDING_STOPPED)
        finally:
            if signer:
                signer.stop()


def _start_signer(settings: Settings) -> SignerProcess | None:
    """Start the signer; on the first start of all begin the log, and print its key.

    A machine that cannot, such as one of several that has not the key, signs nothing, and serves.
    """
    if settings.signer == "off":
        return None
    try:
        settings.make_data_dir()
        with Database(settings.url) as database:
            started = start_log(database, settings.signing_key_path, settings.trail_origin, by=actor())
    except (AuditError, OSError, *DATABASE_ERRORS) as error:
        click.echo(f"Warning: this machine signs nothing (AUDIT_SIGNER): {driver_error(error)}", err=True)
        return None
    if started.is_new:
        echo_started(started)
    return SignerProcess()


def _record(settings: Settings, action: AdminAction) -> None:
    """Record the start or the stop of the recording itself (PCI DSS 10.2.1.6)."""
    if settings.spool_path:
        settings.make_data_dir()
    recorder = Recorder(settings.url, spool_path=settings.spool_path, timeout=settings.write_timeout)
    try:
        recorder.record(actor().did(action, settings.app_name or "audit_service"))
    except AuditUnavailable as error:
        raise click.ClickException(f"{action.value} could not be recorded: {error}") from None
    finally:
        recorder.stop()


def free_address(host: str, port: int, setting: str) -> str:
    """Return the IP address of *host*; raise ``SettingsError`` if there is none, or something listens there already.

    Workers whose main process was killed have ``STOP_TIMEOUT`` to end, so a taken port is looked at again for as long.
    """
    begun, is_said = time.monotonic(), False
    while True:
        try:
            return _probe(host, port)
        except OSError as error:
            waited = time.monotonic() - begun
            if error.errno != errno.EADDRINUSE or waited > PORT_PATIENCE:
                message = f"cannot listen on {host} port {port} ({setting}): {error.strerror}"
                raise SettingsError(message) from None
            if waited > 1 and not is_said:
                click.echo(f"port {port} is taken; waiting {PORT_PATIENCE} s for workers that may be ending", err=True)
                is_said = True
        time.sleep(0.1)


def _probe(host: str, port: int) -> str:
    family, _type, _protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
    return str(address[0])
