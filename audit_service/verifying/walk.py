"""The verifier: walks through a history from its first event to its last, and compares it with what was signed."""

import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import chain
from multiprocessing import get_context
from typing import ClassVar

from audit_service.proving.rows import Event
from audit_service.serving.parent import end_with_parent
from audit_service.verifying.blocks import LENGTH, Result, Task, look_at
from audit_service.verifying.checkpoints import Known, Trust, read_kept, read_stored
from audit_service.verifying.erasures import Erasures
from audit_service.verifying.findings import Code, Finding, missing
from audit_service.verifying.report import Report, Verdict
from audit_service.verifying.source import Head, LogFormError, Opener, Part, Source, blocks
from audit_service.verifying.tree import Fold

MAX_UNSIGNED = 60.0  # seconds that an event may wait for its checkpoint, unless the caller says otherwise
CLOCKS_DIFFER = 300.0  # seconds that a witness's clock may be ahead, before it is worth a note
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
            _compare_kept(report, None, trust, kept or {}, 0)
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
        known = [*stored.known, *_compare_kept(report, head.origin, trust, kept, size, part=head.part)]
        if any(finding.code in _UNREADABLE for finding in head.findings):
            return  # rows that cannot be read as events
        part, events = head.part or Part(1, size), max(head.events, size)
        if head.part:
            events, report.part = part.last, (part.first, part.last)
        fold = Fold(part, known, size, report.add)
        self._walk(fold, part, events, jobs, progress)
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
        report.extend(self._erasures.findings(self._source, head.events, head.part))
        report.erased = self._erasures.count
        self._conclude(fold, events, max_unsigned)

    def _walk(self, fold: Fold, tree: Part, events: int, jobs: int, progress: Progress) -> None:
        """Look at all blocks, and put them together."""
        spans = chain(blocks(tree.first, tree.last, LENGTH), blocks(tree.last + 1, events, LENGTH))
        tasks = (Task(first, last, first <= tree.last, *fold.wanted(first, last)) for first, last in spans)
        with _workers(self._opener, self._source, jobs) as look:
            for result in look(tasks):
                task = result.task
                if result.is_empty:  # a size that was made up may be any
                    self._report.add(missing(task.first, events))
                    return
                self._report.extend(result.findings)
                self._report.declared += result.declared
                self._last_declared = max(self._last_declared, result.last_declared)
                restarts = [seq for seq, origin in result.restarts.items() if origin == self._head.origin]
                self._restarted = max(self._restarted, *restarts, 0)
                self._erasures.add(result.erased, result.notices)
                if task.is_tree:
                    fold.add(result, self._source)
                self._report.events = task.last
                progress(task.last - tree.first + 1, events - tree.first + 1)

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
            report.unsigned_seconds = _age(self._source, size + 1)
            if report.unsigned_seconds is not None and report.unsigned_seconds > max_unsigned:
                words = f"event {size + 1} was recorded {report.unsigned_seconds:.0f} s ago, and is in no checkpoint"
                report.add(Finding(Code.UNSIGNED_TOO_OLD, f"{words} that counts", size + 1, head.events))

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


def _compare_kept(
    report: Report, origin: str | None, trust: Trust, kept: Mapping[str, bytes], size: int, *, part: Part | None = None
) -> list[Known]:
    """Return the checkpoints from elsewhere that are of the tree of *size* or of its beginning; report others.

    Of a *part* it can be compared only with those that end in it, or where the tree ends. Raises ``ProofError`` for
    what is no checkpoint.
    """
    read = read_kept(kept, origin, trust)
    report.extend(read.findings)
    known = []
    for each in read.known:
        reached = each.checkpoint.size
        if not each.is_trusted:
            words = f"the checkpoint in {each.where} is signed by {', '.join(each.signers)}: no such key is trusted"
            report.add(Finding(Code.UNKNOWN_KEY, words))
        elif part and reached != size and not part.first <= reached <= part.last:
            here = f"event {part.first}" if part.first == part.last else f"events {part.first} to {part.last}"
            words = f"the checkpoint of {reached} in {each.where} cannot be compared with {here} of {size}"
            report.add(Finding(Code.NOT_COMPARED, f"{words}: that takes the whole history"))
        elif reached > size:
            words = f"the log has {size} events, and {each.where} has a checkpoint of {reached}: later ones are gone"
            report.add(Finding(Code.ROLLBACK, words, size + 1, reached))
        else:
            known.append(each)
    return known


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
def _workers(opener: Opener, source: Source, jobs: int) -> Iterator[Look]:
    """Yield a function that looks at tasks, in their order: here, or in so many other processes."""
    if jobs == 1:
        yield lambda tasks: (look_at(source, task) for task in tasks)
        return
    context = get_context("spawn")  # a fork would share connections, and locks of threads
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_Worker.open, initargs=(opener,)) as pool:

        def look(tasks: Iterator[Task]) -> Iterator[Result]:
            waiting: deque[Future[Result]] = deque()
            for task in tasks:
                with _deaf_children():
                    waiting.append(pool.submit(_Worker.look_at, task))
                if len(waiting) > 2 * jobs:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())

        others = context.active_children()
        try:
            yield look
        except BaseException:
            for each in context.active_children():
                if each not in others:
                    each.terminate()  # a block can take seconds, and nobody waits for it any more
            raise
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach, not even while they import: it is for the one that starts them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _result(future: Future[Result]) -> Result:
    """Return what another process has found; raise its error as if it had been raised here."""
    try:
        return future.result()
    except Exception as error:
        raise error from getattr(error, "orig", None)  # the cause is the text of a traceback, and SQLAlchemy's is lost


class _Worker:
    """A process that looks at blocks."""

    source: ClassVar[Source]
    stack: ClassVar[ExitStack]

    @classmethod
    def open(cls, opener: Opener) -> None:
        """Open the source. The process ends with the one that has started it, however that ends."""
        end_with_parent()
        cls.stack = ExitStack()
        cls.source = cls.stack.enter_context(opener())

    @classmethod
    def look_at(cls, task: Task) -> Result:
        """Look at a block."""
        return look_at(cls.source, task)
