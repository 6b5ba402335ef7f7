"""The command that writes the history as one file for auditors."""

import contextlib
import sys
import time
from collections.abc import Generator
from pathlib import Path

import click

from audit_service.cli.connection import open_engine
from audit_service.cli.export import interruptible, target_of
from audit_service.cli.looks import record_look
from audit_service.operations.archive import Archive
from audit_service.operations.bundle import Span, find_span, write_bundle
from audit_service.proving.disclosures import snapshot
from audit_service.storage.schema import require_newest
from audit_service.vocabulary import AdminAction


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--from", "first", type=click.IntRange(min=1), help="The seq of the first event. Default: the first.")
@click.option("--to", "last", type=click.IntRange(min=1), help="The seq of the last event. Default: the last signed.")
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
def bundle(file: Path, first: int | None, last: int | None, *, force: bool) -> None:
    """Write the history with its proofs to FILE, a tar archive; compressed if its name ends with .gz.

    Whoever has it and the public key of the log can verify it without this program: the README.txt in it says how. It
    holds personal data that is not erased by erasing it here. If it is interrupted there is no file.
    """
    with open_engine() as engine:
        require_newest(engine)
        record_look(AdminAction.HISTORY_EXPORTED, "audit-service bundle", _given(first, last))
        with snapshot(engine) as connection, target_of(file, force=force) as target:
            if not target.seekable():
                raise click.UsageError(f"{file} must be a file: sizes are written into it at the end")
            span = find_span(connection, first, last)
            archive = Archive(target, is_compressed=file.suffix == ".gz", time=int(time.time()))
            skipped = _write(write_bundle(connection, span, archive), span)
    size = span.checkpoint.size
    what = f"events {span.first} to {span.last}" if span.is_part else "all events"
    click.echo(f"bundled {what} of {span.log.origin}, whose checkpoint is of {size}, to {file}", err=True)
    if skipped:
        click.echo(f"{skipped} of them are not there, or not such that they can have been signed", err=True)


def _given(first: int | None, last: int | None) -> dict[str, tuple[str, ...]]:
    return {name: (str(number),) for name, number in (("from", first), ("to", last)) if number}


def _write(steps: Generator[int, None, int], span: Span) -> int:
    """Write it step by step, and return how many events could not be written."""
    length = span.last - span.first + 1
    with (
        contextlib.closing(steps),
        interruptible() as interrupted,
        click.progressbar(length=length, label="bundling", file=sys.stderr) as bar,
    ):
        while True:
            try:
                bar.update(next(steps))
            except StopIteration as end:
                return int(end.value)
            if interrupted:
                raise click.Abort
