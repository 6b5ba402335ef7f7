"""``make test-security``: the proofs of security, long."""

import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from tests.faults import Progress
from tests.security.canaries import hunt_canaries
from tests.security.crowd import crowd
from tests.security.flood import flood
from tests.security.fuzz import fuzz
from tests.security.injection import PAYLOADS, inject
from tests.security.passwords import race
from tests.security.slow import send_slowly
from tests.security.timing import compare_times
from tests.support.databases import migrated, new_postgres_database
from tests.support.postgres import private_postgres

Proof = Callable[[str, Path, int, Progress], str]
LONG_PROOFS: dict[str, tuple[str, int, Proof]] = {
    "fuzz": ("arbitrary logins", 20_000, fuzz),
    "sql": ("SQL injection", len(PAYLOADS), inject),
    "canaries": ("canaries", 3, hunt_canaries),
    "timing": ("enumeration by time", 2_000, compare_times),
    "passwords": ("race for the password", 200, race),
    "crowd": ("lists beside logins", 20, crowd),
    "flood": ("flood", 1_000_000, flood),
    "slow": ("slow senders", 60, send_slowly),
}


@contextmanager
def database(kind: str) -> Iterator[tuple[str, Path]]:
    """A new database at the newest revision, and a folder."""
    folder = Path(tempfile.mkdtemp(prefix="audit-security-"))
    try:
        if kind == "sqlite":
            yield migrated(f"sqlite:///{folder}/audit.db"), folder
        else:
            with private_postgres() as server, new_postgres_database(server.url()) as url:
                yield migrated(url), folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@click.command()
@click.option("--only", type=click.Choice(list(LONG_PROOFS)), multiple=True, help="These proofs; default: all.")
@click.option(
    "--on", type=click.Choice(["sqlite", "postgresql"]), multiple=True, help="These databases; default: both."
)
@click.option("--times", type=click.IntRange(1), help="How often, instead of each proof's own number.")
def main(only: tuple[str, ...], on: tuple[str, ...], times: int | None) -> None:
    """Run the proofs long; print a table; exit with 1 if one failed."""
    rows = []
    for key in only or LONG_PROOFS:
        name, usual, prove = LONG_PROOFS[key]
        count = times or usual
        for kind in on or ("sqlite", "postgresql"):
            label = f"{name}, {kind}"
            with database(kind) as (url, folder), click.progressbar(length=count, label=label, file=sys.stderr) as bar:
                started = time.monotonic()
                try:
                    result = prove(url, folder, count, bar.update)
                except AssertionError as error:
                    place = traceback.extract_tb(error.__traceback__)[-1]
                    result = f"FAILED: {place.line}: {error}"
                took = f"{time.monotonic() - started:.0f} s"
            rows.append((name, kind, count, took, result))
    click.echo("\n| proof | database | times | took | result |\n|---|---|---|---|---|")
    for row in rows:
        click.echo("| " + " | ".join(map(str, row)) + " |")
    failed = sum("FAILED" in row[-1] for row in rows)
    click.echo(f"\n{len(rows) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
