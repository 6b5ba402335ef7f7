"""A block of the history: each event's leaf made again from its row, and the tree over the block."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from audit_service.proofs.entry import Group, missing_entry
from audit_service.proofs.merkle import leaf_hash
from audit_service.proving.rows import Event, Malformed, Row
from audit_service.verifying.block_tree import compare_lowest_tile, edges_at, lowest_roots
from audit_service.verifying.findings import Code, Finding, Weight, bad_form, missing, table_name
from audit_service.verifying.leaves import Erased, Leaves, Mismatch
from audit_service.verifying.notices import Notice, Notices
from audit_service.verifying.source import UNKNOWN, Block, Erasure, Leaf, Source, blocks

STEP = 4096  # events that are in memory at once


class Task(NamedTuple):
    """A block to look at: events from ``first`` to ``last``; leaves they have only if ``is_tree``.

    ``sizes``: of trees whose roots are wanted, which end in the block. ``left``: the roots of the full subtrees before
    its first event that lie within the block of ``LENGTH``.
    """

    first: int
    last: int
    is_tree: bool
    sizes: Sequence[int] = ()
    left: Sequence[bytes] = ()


class Result(NamedTuple):
    """What a block is.

    ``edge``: the roots of the full subtrees of the block, the largest first; ``edges``: those at the sizes that were
    asked for. ``made`` and ``stored``: its leaves, but only if they differ from each other. ``declared``: how many
    events are declared missing, the last of which is ``last_declared``; ``restarts``: logs that were begun anew, by the
    ``seq`` of the events that say so; ``rows``: how many there are.
    """

    task: Task
    findings: Sequence[Finding]
    mismatches: Sequence[Mismatch]
    edge: Sequence[bytes]
    edges: dict[int, Sequence[bytes]]
    made: Sequence[bytes] | None
    stored: Sequence[bytes] | None
    erased: Sequence[Erased]
    notices: dict[int, Notice]
    declared: int
    last_declared: int
    restarts: dict[int, str]
    rows: int
    is_empty: bool


def look_at(source: Source, task: Task) -> Result:
    """Return what the block of *task* is. What looks wrong is read a second time: it may have changed meanwhile."""
    result = _Look(source, task).result()
    if result.mismatches or any(each.weight is not Weight.NOTE for each in result.findings):
        result = _Look(source, task).result()
    return result


class _Look:
    def __init__(self, source: Source, task: Task) -> None:
        self._task, self._source = task, source
        self._findings: list[Finding] = []
        self._leaves, self._notices = Leaves(self._findings.append), Notices(self._findings.append)
        self._made: list[bytes] = []
        self._stored: list[bytes] = []
        self._declared = self._last_declared = self._rows = 0
        self._missing: list[int] = []
        self._is_empty = True

    def result(self) -> Result:
        task = self._task
        for first, last in blocks(task.first, task.last, STEP):
            block = self._source.block(first, last)
            self._rows += len(block.rows)
            self._is_empty = self._is_empty and not (block.rows or block.leaves)
            self._findings.extend(block.findings)
            self._step(first, last, block)
        self._end_of_gap()
        edges: dict[int, Sequence[bytes]] = {}
        differs = self._made != self._stored
        if task.is_tree:
            roots = [
                lowest_roots(task.first, each) for each in ([self._made, self._stored] if differs else [self._made])
            ]
            edges = edges_at((*task.sizes, task.last), task.first, task.left, self._made, roots[0])
            self._findings += compare_lowest_tile(self._source, task.first, self._made, roots)
        return Result(
            task=task,
            findings=self._findings,
            mismatches=self._leaves.mismatches,
            edge=edges.get(task.last, ()),
            edges=edges,
            made=self._made if differs else None,
            stored=self._stored if differs else None,
            erased=self._leaves.erased,
            notices=self._notices.erasures,
            declared=self._declared,
            last_declared=self._last_declared,
            restarts=self._notices.restarts,
            rows=self._rows,
            is_empty=self._is_empty,
        )

    def _step(self, first: int, last: int, block: Block) -> None:
        is_tree, made, stored, erasures = self._task.is_tree, self._made, self._stored, block.erasures
        for seq, here in self._in_order(first, last, block.rows):
            leaf = block.leaves.get(seq)
            row = here[0] if len(here) == 1 else None
            if isinstance(row, Event):
                self._notices.add(row)
                if leaf is not None and seq not in erasures and (found := self._leaves.usual(row, leaf)):
                    made.append(found)
                    stored.append(leaf.hash)
                    continue
            if is_tree:
                known = leaf.hash if leaf else UNKNOWN
                made.append(self._unusual(seq, here, leaf, erasures.get(seq, ())) or known)
                stored.append(known)
            else:
                self._without_leaf(seq, here)
                records = erasures.get(seq, ())  # of the log before this one, which has not come here yet
                self._leaves.erased += [
                    Erased(seq, Group(each.group), each.by_seq) for each in records if each.group in list(Group)
                ]

    def _in_order(self, first: int, last: int, rows: Sequence[Row]) -> Iterable[tuple[int, Sequence[Row]]]:
        """Return what is there for each ``seq``: one row, unless something was changed."""
        seqs = range(first, last + 1)
        if [row.seq for row in rows] == list(seqs):
            return zip(seqs, zip(rows), strict=True)
        here: dict[int, list[Row]] = {seq: [] for seq in seqs}
        for row in rows:
            if row.seq in here:
                here[row.seq].append(row)
            else:  # in SQLite a number may have a fraction
                self._findings.append(bad_form(row))
        return here.items()

    def _without_leaf(self, seq: int, here: Sequence[Row]) -> None:
        """Look at what is there for an event, of which no leaf can be made, or not yet."""
        if not here:
            self._gap(seq)
        elif len(here) > 1:
            tables = ", ".join(table_name(each) for each in here)
            words = f"{len(here)} events have the seq {seq}, in {tables}"
            self._findings.append(Finding(Code.DUPLICATE_SEQ, words, seq=seq, table=table_name(here[-1])))
        elif isinstance(here[0], Malformed):
            self._findings.append(bad_form(here[0]))

    def _unusual(self, seq: int, here: Sequence[Row], leaf: Leaf | None, erasures: Sequence[Erasure]) -> bytes | None:
        """Return the hash of a leaf that is not simply that of its row; None if it cannot be made."""
        row = here[0] if len(here) == 1 else None
        if leaf and leaf.opening is None and leaf.hash == leaf_hash(missing_entry(seq)):
            self._declared += 1
            self._last_declared = seq
            if isinstance(row, Event):
                words = f"the event {seq} was declared missing, and is there"
                self._findings.append(Finding(Code.ROW_CHANGED, words, seq=seq, table=table_name(row)))
            elif here:
                self._without_leaf(seq, here)
            return leaf.hash
        if isinstance(row, Event):
            return self._leaves.unusual(row, leaf, erasures)
        self._without_leaf(seq, here)
        return None

    def _gap(self, seq: int) -> None:
        if self._missing and seq != self._missing[-1] + 1:
            self._end_of_gap()
        self._missing.append(seq)

    def _end_of_gap(self) -> None:
        if self._missing:
            self._findings.append(missing(self._missing[0], self._missing[-1]))
            self._missing.clear()
