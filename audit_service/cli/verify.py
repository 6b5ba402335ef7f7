"""The command that verifies the history, and by nothing but keys that it is given."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import click
import msgspec

from audit_service.cli.connection import current_settings, open_engine
from audit_service.errors import AuditError, ProofError
from audit_service.proofs.keys import Algorithm, parse_verifier
from audit_service.proofs.note import LARGEST as LARGEST_NOTE
from audit_service.proofs.policy import LARGEST as LARGEST_POLICY
from audit_service.proofs.policy import Policy, parse_policy
from audit_service.proving.workers import JOBS
from audit_service.storage.outages import DATABASE_ERRORS, driver_error
from audit_service.storage.schema import require_newest
from audit_service.verifying.checkpoints import Trust
from audit_service.verifying.database import DatabaseOpener
from audit_service.verifying.files import file_opener, read_small
from audit_service.verifying.memory import read_memory, write_memory
from audit_service.verifying.proof_file import ProofOpener
from audit_service.verifying.report import Report, Verdict, printable
from audit_service.verifying.source import Opener
from audit_service.verifying.walk import MAX_UNSIGNED, Progress
from audit_service.verifying.walk import verify as verify_history

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("file", type=_FILE, required=False)
@click.option("--vkey", "keys", multiple=True, metavar="KEY", help="A public key of the log ('trail key' prints it).")
@click.option("--policy", type=_FILE, help="A file with keys of logs and witnesses (C2SP tlog-policy).")
@click.option("--against", type=_FILE, multiple=True, help="A checkpoint that was kept elsewhere. May be repeated.")
@click.option(
    "--remember",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file of yours: the newest checkpoint seen of a whole history is kept there, and an older or another "
    "history is refused.",
)
@click.option(
    "--max-unsigned",
    type=click.FloatRange(min=0),
    default=MAX_UNSIGNED,
    show_default=True,
    metavar="SECONDS",
    help="How long an event may wait until it is signed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings and figures as JSON.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 64),
    default=JOBS,
    show_default=True,
    help="Processes that do the work.",
)
def verify(
    file: Path | None,
    keys: Sequence[str],
    policy: Path | None,
    against: Sequence[Path],
    remember: Path | None,
    *,
    max_unsigned: float,
    as_json: bool,
    jobs: int,
) -> None:
    """Verify that the history of the database is as signed, and say what exactly is proven.

    With a FILE verify that instead: a bundle (which 'bundle' writes), or an event with its proof, as the API gives it.

    Nothing is believed but signatures by the keys that are given, so take them from somewhere that the machine's
    operator cannot change. Exit status: 0 if all is proven, 1 if something was changed, 2 if it cannot be proven.
    """
    try:
        trust, kept = _trust(keys, policy), {str(path): read_small(path, LARGEST_NOTE) for path in against}
        remembered = read_memory(remember) if remember else None
        if remembered is not None:
            kept[str(remember)] = remembered
        report = _verify(file, trust, kept, max_unsigned, jobs)
    except (AuditError, OSError, BrokenProcessPool) as error:
        _fail(str(error))
    except DATABASE_ERRORS as error:
        _fail(f"the database refused: {driver_error(error)}")
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted")
    if remember and report.latest and trust.keys and report.verdict is not Verdict.TAMPERED:
        _remember(remember, report.latest.note, remembered)
    click.echo(msgspec.json.encode(report.as_json()).decode() if as_json else report.text())
    sys.exit(report.verdict)


def _verify(file: Path | None, trust: Trust, kept: Mapping[str, bytes], max_unsigned: float, jobs: int) -> Report:
    with _opener(file) as opener, click.progressbar(length=0, label="verifying", file=sys.stderr) as bar:
        if isinstance(opener, ProofOpener):  # of one event, for which no other process is worth its start
            report = verify_history(opener, trust, kept=kept, max_unsigned=max_unsigned)
            report.event = opener.event()
            return report
        return verify_history(opener, trust, kept=kept, max_unsigned=max_unsigned, jobs=jobs, progress=_shown(bar))


@contextmanager
def _opener(file: Path | None) -> Iterator[Opener]:
    if file:
        with file_opener(file) as opener:
            yield opener
        return
    with open_engine() as engine:
        require_newest(engine)
    yield DatabaseOpener(current_settings().url)


def _shown(bar: "click._termui_impl.ProgressBar[int]") -> Progress:
    def show(done: int, events: int) -> None:
        bar.length = events
        bar.update(done - bar.pos)

    return show


def _trust(keys: Sequence[str], policy: Path | None) -> Trust:
    found = [parse_verifier(key) for key in keys]
    for key in found:
        if key.algorithm is not Algorithm.ED25519:
            raise ProofError(f"the key of {key.name!r} is no key of a log")
    rules: Policy | None = parse_policy(read_small(policy, LARGEST_POLICY)) if policy else None
    return Trust([*found, *(log.key for log in rules.logs)] if rules else found, rules)


def _remember(path: Path, note: bytes, before: bytes | None) -> None:
    try:
        write_memory(path, note, before)
    except ProofError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{str(path)!r} cannot be written: {error.strerror}")


def _fail(words: str) -> NoReturn:
    click.echo(printable(f"Error: not verified: {words}"), err=True)  # a file may have put anything into the words
    sys.exit(Verdict.NOT_PROVEN)
