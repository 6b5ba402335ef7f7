"""Commands that write all of the history that is asked for, to a file or to standard output."""

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo

import click

from audit_service.cli.connection import open_engine
from audit_service.cli.looks import record_look
from audit_service.cli.options import Zone, options, read_options
from audit_service.cli.show import echo_span
from audit_service.events.base import Kind
from audit_service.events.kinds import KINDS
from audit_service.history.export import Chunk, Format
from audit_service.history.export import export as stream
from audit_service.history.parameters import Sorting
from audit_service.history.question import Question
from audit_service.storage.schema import require_newest
from audit_service.vocabulary import AdminAction


@click.group()
def export() -> None:
    """Write all events that match to a file, or to standard output.

    If it is interrupted there is no file, and on standard output there are whole lines only.
    """


def _command(kind: Kind) -> click.Command:
    @click.command(kind.command, help=f"Export {kind.what}.")
    @click.option(
        "--format", "form", type=click.Choice([form.value for form in Format]), default="ndjson", show_default=True
    )
    @click.option(
        "--output",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The file. Default: standard output.",
    )
    @click.option("--force", is_flag=True, help="Replace the file if there is one.")
    @options(kind.filters, Sorting, Zone)
    def command(form: str, output: Path | None, *, force: bool, **given: Any) -> None:
        filters, sorting, zone = read_options(given, kind.filters, Sorting, Zone)
        echo_span(filters.since, filters.until, ZoneInfo(zone.tz))
        question = Question(kind=kind, filters=filters, order=sorting.order)
        with open_engine() as engine, target_of(output, force=force) as file:
            require_newest(engine)
            record_look(AdminAction.HISTORY_EXPORTED, f"audit-service export {kind.command}", given)
            written = _write(stream(engine, question, Format(form)), file)
        click.echo(f"exported {written} events" + (f" to {output}" if output else ""), err=True)

    return command


for _kind in KINDS:
    export.add_command(_command(_kind))


def _write(chunks: Generator[Chunk], file: IO[bytes]) -> int:
    written = 0
    with contextlib.closing(chunks), interruptible() as interrupted:
        first = next(chunks)
        _write_out(file, first.lines)
        with click.progressbar(length=first.events, label="exporting", file=sys.stderr) as bar:
            for chunk in chunks:
                _write_out(file, chunk.lines)
                written += chunk.events
                bar.update(chunk.events)
                if interrupted:
                    raise click.Abort
    return written


def _write_out(file: IO[bytes], lines: bytes) -> None:
    """With PYTHONUNBUFFERED standard output is raw: a signal cuts what is written, and the rest is left to us."""
    left = memoryview(lines)
    while left:
        left = left[file.write(left) :]


@contextlib.contextmanager
def target_of(output: Path | None, *, force: bool) -> Iterator[IO[bytes]]:
    """A file comes under its name when it is whole, and only we may read it; devices and pipes are written as they are.

    What a link points to is replaced, not the link.
    """
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    try:
        place = output.resolve()
        if place.exists() and not place.is_file():
            with place.open("wb") as file:
                yield file
            return
        if place.exists() and not force:
            raise click.UsageError(f"{output} exists already: --force replaces it")
        with tempfile.NamedTemporaryFile(dir=place.parent, prefix=".audit-export-", delete=False) as part:
            try:
                yield part.file
                part.flush()
                os.fsync(part.fileno())
                Path(part.name).replace(place)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise click.FileError(str(output), error.strerror) from None


@contextlib.contextmanager
def interruptible() -> Iterator[list[int]]:
    """Yield a list that is filled by Ctrl-C or SIGTERM, which then wait for the end of the chunk; the second ends it.

    For a reader of the pipe may have stopped reading.
    """
    interrupted: list[int] = []

    def note(received: int, _frame: object) -> None:
        if interrupted:
            raise KeyboardInterrupt
        interrupted.append(received)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
