"""The verifier: walks through a history from its first event to its last, and compares it with what was signed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import chain

from audit_service.proving.rows import Event
from audit_service.proving.workers import worker_processes
from audit_service.verifying.block_tree import LENGTH
from audit_service.verifying.blocks import Result, Task, look_at
from audit_service.verifying.checkpoints import Trust, read_kept, read_stored
from audit_service.verifying.erasures import Erasures
from audit_service.verifying.findings import Code, Finding, missing
from audit_service.verifying.report import Report, Verdict
from audit_service.verifying.source import Head, LogFormError, Opener, Part, Source, blocks
from audit_service.verifying.tree import Fold

MAX_UNSIGNED = 60.0  # seconds that an event may wait for its checkpoint, unless the caller says otherwise
CLOCKS_DIFFER = 300.0  # seconds that another clock, as a witness's, may be ahead
_UNREADABLE = (Code.MISSING_COLUMN, Code.CHANGED_COLUMN)

Progress = Callable[[int, int], None]  # events that were looked at, of so many


def verify(
    opener: Opener,
    trust: Trust,
    *,
    kept: Mapping[str, bytes] | None = None,
    max_unsigned: float = MAX_UNSIGNED,
    jobs: int = 1,
    progress: Progress = lambda _done, _all: None,
) -> Report:
    """Return what is proven of the history that *opener* opens, and what was found against it.

    *kept* are checkpoints from elsewhere, notes by the names of their files. *max_unsigned*: seconds that an event may
    wait for a checkpoint that is trusted. With more than one of *jobs* other processes do the work. The history may
    grow meanwhile: it is verified as far as it reached at the beginning. Raises what the source raises.
    """
    report = Report()
    if not trust.keys:
        report.add(Finding(Code.NO_KEY, "no key was given: whoever can write the history could have signed it"))
    with opener() as source:
        try:
            head = source.head()
        except LogFormError as error:
            report.add(Finding(Code.LOG_CHANGED, str(error)))
            return report
        if head is None:
            report.add(Finding(Code.NO_LOG, "there is no log: nothing was ever signed, or the database is another one"))
            report.extend(read_kept(kept or {}, None, trust, 0).findings)
            return report
        _Walk(source, opener, trust, head, report).run(kept or {}, max_unsigned, jobs, progress)
        after = source.head()
        if after is None or after.log_id != head.log_id:  # what was compared is of both logs, and says nothing
            report = Report()
            report.add(Finding(Code.LOG_RESTARTED, "another log was begun meanwhile: verify again"))
    return report


class _Walk:
    def __init__(self, source: Source, opener: Opener, trust: Trust, head: Head, report: Report) -> None:
        self._source, self._opener, self._trust, self._head, self._report = source, opener, trust, head, report
        self._erasures = Erasures()
        self._last_declared = self._restarted = 0  # seq
        self._rows = 0

    def run(self, kept: Mapping[str, bytes], max_unsigned: float, jobs: int, progress: Progress) -> None:
        """Fill the report."""
        head, report, trust = self._head, self._report, self._trust
        report.origin, report.others = head.origin, head.others
        if trust.keys and not trust.keys_of(head.origin):
            names = ", ".join(sorted({key.name for key in trust.keys}))
            report.add(Finding(Code.WRONG_ORIGIN, f"this is the log {head.origin}, and the keys are those of {names}"))
        if head.log_id != head.origin.rpartition("/")[2]:
            words = f"the log {head.origin} is said to have the id {head.log_id!r}, by which its head file is found"
            report.add(Finding(Code.LOG_CHANGED, words, table="trail_log"))
        report.extend(head.findings)
        if head.floor:
            words = f"events up to {head.floor} are said to be pruned, and no signed event says so"
            report.add(Finding(Code.FLOOR_NOT_RECORDED, words, 1, head.floor, "trail_log"))
        stored = read_stored(head.checkpoints, head.cosignatures, head.origin, trust)
        report.extend(stored.findings)
        report.checkpoints = len(stored.known)
        if not stored.known and not stored.findings:
            report.add(Finding(Code.NO_CHECKPOINT, "there is no checkpoint: nothing was signed yet"))
        signed = max((each.checkpoint.size for each in stored.known if each.is_trusted), default=0)
        size = max(head.size, signed)
        elsewhere = read_kept(kept, head.origin, trust, size, head.part)
        report.extend(elsewhere.findings)
        known = [*stored.known, *elsewhere.known]
        if any(finding.code in _UNREADABLE for finding in head.findings):
            return  # rows that cannot be read as events
        part, events = head.part or Part(1, size), max(head.events, size)
        if head.part:
            events, report.part = part.last, (part.first, part.last)
        fold = Fold(part, known, size, report.add)
        is_whole = self._walk(fold, part, events, jobs, progress)
        fold.end(self._source)
        is_wrong = head.root not in fold.roots and report.verdict is not Verdict.TAMPERED  # else it says nothing new
        if is_wrong or not signed <= head.size <= head.events:
            words = (
                f"the log says that its tree has {head.size} leaves and the root {head.root.hex()}, which it has not"
            )
            report.add(Finding(Code.LOG_CHANGED, words, table="trail_log"))
        if self._last_declared > self._restarted and not head.part:
            words = f"events up to {self._last_declared} are declared missing, and no event after them says so"
            report.add(Finding(Code.DECLARED_WITHOUT_RECORD, words, self._last_declared, table="trail_leaves"))
        hidden = (self._source.count(head.events) or 0) - self._rows if is_whole else 0
        if hidden > 0:
            words = f"{hidden} rows are not found by a seq of the log, and may be by what else somebody looks for"
            report.add(Finding(Code.OUT_OF_RANGE, words))
        report.extend(self._erasures.findings(self._source, head.events, head.part))
        report.erased = self._erasures.count
        self._conclude(fold, events, max_unsigned)

    def _walk(self, fold: Fold, tree: Part, events: int, jobs: int, progress: Progress) -> bool:
        """Look at all blocks, and put them together; return whether there is something in each."""
        spans = chain(blocks(tree.first, tree.last, LENGTH), blocks(tree.last + 1, events, LENGTH))
        tasks = (Task(first, last, first <= tree.last, *fold.wanted(first, last)) for first, last in spans)
        with _looking(self._opener, self._source, jobs) as look:
            for result in look(tasks):
                task = result.task
                if result.is_empty:  # a size that was made up may be any
                    self._report.add(missing(task.first, events))
                    return False
                self._report.extend(result.findings)
                self._report.declared += result.declared
                self._rows += result.rows
                self._last_declared = max(self._last_declared, result.last_declared)
                restarts = [seq for seq, origin in result.restarts.items() if origin == self._head.origin]
                self._restarted = max(self._restarted, *restarts, 0)
                self._erasures.add(result.erased, result.notices)
                if task.is_tree:
                    fold.add(result, self._source)
                self._report.events = task.last
                progress(task.last - tree.first + 1, events - tree.first + 1)
        return True

    def _conclude(self, fold: Fold, events: int, max_unsigned: float) -> None:
        """Say how far the history is proven, and what is not."""
        report, head = self._report, self._head
        self._note_oddities(fold)
        # Of a part's checkpoint it is not known whether it goes on from what was remembered.
        report.latest = fold.agreed[-1] if fold.agreed and not head.part else None
        proven = [each for each in fold.agreed if each.is_enough]
        if proven:
            report.proven = proven[-1]
            report.recorded_at = _recorded_at(self._source, min(report.proven.checkpoint.size, events))
        elif fold.agreed:
            report.add(Finding(Code.NO_QUORUM, "no checkpoint was cosigned by the witnesses that the policy wants"))
        size = report.proven.checkpoint.size if report.proven else 0
        report.unsigned = max(0, events - size) if head.part else head.events - size
        if report.unsigned > 0 and report.proven:
            age = report.unsigned_seconds = _age(self._source, size + 1)
            if age is None or not -CLOCKS_DIFFER <= age <= max_unsigned:
                when = "at a time that is none" if age is None else "in the future" if age < 0 else f"{age:.0f} s ago"
                words = f"the event {size + 1} was recorded {when}, and is in no checkpoint that counts"
                report.add(Finding(Code.UNSIGNED_TOO_OLD, words, size + 1, head.events))

    def _note_oddities(self, fold: Fold) -> None:
        """Note signatures by unknown keys, and times of witnesses that lie in the future."""
        report = self._report
        for each, agrees in fold.strangers:
            if not agrees or each.checkpoint.size > fold.proven:
                words = (
                    f"the checkpoint of {each.checkpoint.size} is signed by {', '.join(each.signers)}, and none of "
                    "these keys is trusted: if the key was changed, give the new one, too"
                )
                report.add(Finding(Code.UNKNOWN_KEY, words, seq=each.checkpoint.size, table="trail_checkpoints"))
        for each in fold.agreed:
            for name, time in each.times.items():
                if time > datetime.now(UTC).timestamp() + CLOCKS_DIFFER:
                    words = f"{name} says that it has cosigned the checkpoint of {each.checkpoint.size} in the future"
                    report.add(Finding(Code.COSIGNED_LATER, words, seq=each.checkpoint.size))


def _age(source: Source, seq: int) -> float | None:
    """Return how many seconds ago an event was recorded; None if it is none."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(_recorded_at(source, seq) or "")).total_seconds()
    except ValueError:
        return None


def _recorded_at(source: Source, seq: int) -> str | None:
    """Return when an event was recorded, in UTC, as its entry has it; None if it is none."""
    rows = source.block(seq, seq).rows if seq else ()
    if len(rows) != 1 or not isinstance(rows[0], Event):
        return None
    return rows[0].recorded_at


Look = Callable[[Iterator[Task]], Iterator[Result]]


@contextmanager
def _looking(opener: Opener, source: Source, jobs: int) -> Iterator[Look]:
    """Yield a function that looks at tasks, in their order: here, or in so many other processes."""
    if jobs == 1:
        yield lambda tasks: (look_at(source, task) for task in tasks)
        return
    with worker_processes(jobs, opener) as run:
        yield partial(run, look_at)
