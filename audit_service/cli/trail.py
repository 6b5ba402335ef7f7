"""Commands for the log of the trail: its signer, its key and its checkpoints."""

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click

from audit_service.cli.connection import actor, current_settings, open_engine
from audit_service.cli.show import echo_lines
from audit_service.cli.text import TEXT
from audit_service.errors import NotConfiguredError
from audit_service.operations.log_state import log_lines
from audit_service.proofs.keys import SignerKey
from audit_service.proving.log import NO_LOG, read_checkpoint, read_log
from audit_service.proving.status import read_status
from audit_service.serving.parent import end_with_parent
from audit_service.signing import lifecycle
from audit_service.signing.database import Database
from audit_service.signing.key_file import read_keys
from audit_service.storage.schema import require_newest

KEEP = "Keep it where nobody who runs this machine can change it: a history is verified with it, and with nothing else."


@click.group()
def trail() -> None:
    """The log by which a change of the history can be proven: its key and its checkpoints."""


@trail.command()
def init() -> None:
    """Begin the log and make its key, unless there is one. 'serve' does it by itself."""
    settings = current_settings()
    with log_database() as database:
        started = lifecycle.start_log(database, settings.signing_key_path, settings.trail_origin, by=actor())
    echo_started(started)


@trail.command()
def key() -> None:
    """Print the public key, by which checkpoints are verified."""
    click.echo(read_keys(current_settings().signing_key_path)[0].verifier)


@trail.command()
@click.option("--size", type=click.IntRange(min=0), help="That of this size. Default: the newest.")
def checkpoint(size: int | None) -> None:
    """Print the newest checkpoint: size and root of the log, signed."""
    with open_engine() as engine, engine.connect() as connection:
        require_newest(engine)
        log = read_log(connection)
        found = log and read_checkpoint(connection, log.log_id, size)
    if not found:
        raise NotConfiguredError("there is no checkpoint yet" if size is None else f"there is no checkpoint of {size}")
    click.echo(found.note.decode(), nl=False)


@trail.command()
def status() -> None:
    """Show how far the log reaches, why its signer has stopped if it has, and who outside has which checkpoint."""
    with open_engine() as engine:
        require_newest(engine)
        with engine.connect() as connection:
            found = read_status(connection)
    if found is None:
        raise NotConfiguredError(NO_LOG)
    echo_lines(log_lines(found, datetime.now(UTC)))


@trail.command("rotate-key")
@click.confirmation_option("--yes", prompt="Whoever verifies the history will need the new key, too. Change it?")
def rotate_key() -> None:
    """Sign with a new key from now on.

    The next checkpoint has signatures of both keys, and the trail an event with both. The old secret key is removed
    then.
    """
    with log_database() as database:
        new = lifecycle.rotate_key(database, current_settings().signing_key_path, by=actor())
    echo_key(new)


@trail.command()
@click.option("--reason", type=TEXT, required=True, help="Why, for those who read the history.")
@click.confirmation_option("--yes", prompt="Checkpoints of the old log prove nothing of the new one. Begin a new log?")
def restart(reason: str) -> None:
    """Begin a new log, when the signer has stopped.

    It is over the events that are there, and its first event says why. What is missing up to now is declared missing.
    The old checkpoints stay as evidence.
    """
    settings = current_settings()
    with log_database() as database:
        started = lifecycle.restart_log(database, settings.signing_key_path, settings.trail_origin, reason, by=actor())
    click.echo(f"began the log {started.log.origin}; a signer that runs goes on with it by itself")
    echo_key(started.key)


@click.command()
@click.option("--once", is_flag=True, help="End when all events are signed.")
@click.option(
    "--trust-database",
    is_flag=True,
    help="With --once, when the file that remembers the last checkpoint is lost: take what the database says.",
)
@click.option(
    "--parent",
    type=click.IntRange(min=1),
    hidden=True,
    help="End when the process with this id, which started it, ends.",
)
def sign(*, once: bool, trust_database: bool, parent: int | None) -> None:
    """Run the signer of the log: by itself, where AUDIT_SIGNER is off for 'serve', or on another machine."""
    # Its import is that of all ways out of the machine, which no other command needs.
    from audit_service.signing.loop import sign_forever, sign_once  # noqa: PLC0415

    if trust_database and not once:
        raise click.UsageError("--trust-database goes with --once")
    settings = current_settings()
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    logging.getLogger("audit_service").setLevel(logging.INFO)
    with log_database() as database:
        started = lifecycle.start_log(database, settings.signing_key_path, settings.trail_origin, by=actor())
        if started.is_new:
            echo_started(started)
        if once:
            if trust_database:
                lifecycle.note_trust(database, by=actor())
            size = sign_once(database, settings, progress=_progress(), trusts_database=trust_database)
            click.echo(f"{size} {'event is' if size == 1 else 'events are'} signed", err=True)
            return
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    if parent:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both, and the parent ends it last
        end_with_parent(parent)
    sign_forever(settings, stopping, _progress())


def echo_started(started: lifecycle.Started) -> None:
    """Print which log there is, and its public key."""
    click.echo(f"{'began' if started.is_new else 'there is'} the log {started.log.origin}")
    echo_key(started.key)


def echo_key(made: SignerKey) -> None:
    """Print the public key, and what to do with it."""
    click.echo(f"its public key is\n\n  {made.verifier}\n\n{KEEP}")


@contextmanager
def log_database() -> Iterator[Database]:
    """Open the database for changes of its log, at the newest revision, and make the data folder if it is missing."""
    with open_engine() as engine:
        require_newest(engine)
    settings = current_settings()
    settings.make_data_dir()  # for the key and the head file
    with Database(settings.url) as database:
        yield database


def _progress() -> Any:
    """Tell on a terminal how far a long round is."""
    shown = [False]

    def show(done: int, left: int) -> None:
        if not sys.stderr.isatty() or not (left or shown[0]):
            return
        shown[0] = bool(left)
        click.echo(f"\r{done:,} events are leaves, {left:,} are left ", err=True, nl=not left)

    return show
