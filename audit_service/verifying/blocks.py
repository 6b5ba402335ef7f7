"""A block of the history: each event's leaf made again from its row, and the tree over the block."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from audit_service.events.kinds import KIND_NAMED
from audit_service.proofs.entry import OPENING_SIZE, Group, commitment, join_entry, missing_entry
from audit_service.proofs.merkle import HASH_SIZE, Frontier, leaf_hash, root
from audit_service.proofs.tile_path import BITS, WIDTH
from audit_service.proving.leaves import ERASED, OPENINGS_SIZE
from audit_service.proving.rows import Event, Malformed, Row
from audit_service.verifying.findings import Code, Finding, Weight, missing
from audit_service.verifying.source import Block, Erasure, Leaf, Source, blocks
from audit_service.vocabulary import AdminAction

LENGTH = WIDTH * WIDTH  # events of a block: the leaves below one hash of level 2
STEP = 4096  # events that are in memory at once
UNKNOWN = bytes(HASH_SIZE)  # in the place of a leaf of which nothing is stored
CLOCK_BACK = timedelta(seconds=60)  # by which a later event may be recorded earlier, before it is worth a note


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


class Mismatch(NamedTuple):
    """An event whose leaf is not the stored one."""

    seq: int
    table: str
    column: str | None
    words: str


class Erased(NamedTuple):
    """A group that was erased from an event, and the event that tells of it."""

    seq: int
    group: Group
    by_seq: int


class Notice(NamedTuple):
    """What an admin event says of the events that were erased from; nothing if it says it in no right form."""

    groups: Sequence[str] = ()
    rows: int = 0
    digest: str = ""


class Result(NamedTuple):
    """What a block is.

    ``edge``: the roots of the full subtrees of the block, the largest first; ``edges``: those at the sizes that were
    asked for. ``made`` and ``stored``: its leaves, but only if they differ from each other. ``declared``: how many
    events are declared missing, the last of which is ``last_declared``; ``restarts``: logs that were begun anew, by the
    ``seq`` of the events that say so.
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
        self._mismatches: list[Mismatch] = []
        self._made: list[bytes] = []
        self._stored: list[bytes] = []
        self._erased: list[Erased] = []
        self._notices: dict[int, Notice] = {}
        self._declared = self._last_declared = 0
        self._restarts: dict[int, str] = {}
        self._missing: list[int] = []
        self._is_empty = True
        self._latest = ""

    def result(self) -> Result:
        task = self._task
        for first, last in blocks(task.first, task.last, STEP):
            block = self._source.block(first, last)
            self._is_empty = self._is_empty and not (block.rows or block.leaves)
            self._findings.extend(block.findings)
            self._step(first, last, block)
        self._end_of_gap()
        edge: Sequence[bytes] = ()
        edges: dict[int, Sequence[bytes]] = {}
        differs = self._made != self._stored
        if task.is_tree:
            edge, edges = self._edges()
            self._compare_tile(differs=differs)
        return Result(
            task,
            self._findings,
            self._mismatches,
            edge,
            edges,
            self._made if differs else None,
            self._stored if differs else None,
            self._erased,
            self._notices,
            self._declared,
            self._last_declared,
            self._restarts,
            self._is_empty,
        )

    def _step(self, first: int, last: int, block: Block) -> None:
        is_tree, made, stored, erasures = self._task.is_tree, self._made, self._stored, block.erasures
        for seq, here in self._in_order(first, last, block.rows):
            leaf = block.leaves.get(seq)
            row = here[0] if len(here) == 1 else None
            if isinstance(row, Event):
                self._note(row)
                if leaf is not None and leaf.opening is not None and len(leaf.opening) == OPENINGS_SIZE:
                    who, where = leaf.opening[:OPENING_SIZE], leaf.opening[OPENING_SIZE:]
                    if who != ERASED != where and seq not in erasures:
                        commitments = commitment(Group.WHO, row.who, who), commitment(Group.WHERE, row.where, where)
                        found = leaf_hash(join_entry(row.plain, *commitments))
                        made.append(found)
                        stored.append(leaf.hash)
                        if found != leaf.hash:
                            self._mismatch(row, leaf)
                        elif leaf.commitments not in {None, commitments}:
                            self._misstated(row)
                        continue
            if is_tree:
                found_or_none = self._unusual(seq, here, leaf, erasures.get(seq, ()))
                known = leaf.hash if leaf else UNKNOWN
                made.append(found_or_none or known)
                stored.append(known)
            else:
                self._without_leaf(seq, here)
                records = erasures.get(seq, ())  # of the log before this one, which has not come here yet
                self._erased += [
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
                self._malformed(row)
        return here.items()

    def _note(self, event: Event) -> None:
        """Keep what an event says that the whole is compared with."""
        recorded_at = event.recorded_at
        if recorded_at >= self._latest:
            self._latest = recorded_at
        elif _is_long_before(recorded_at, self._latest):
            words = f"the event {event.seq} was recorded at {recorded_at}, after one that was at {self._latest}"
            self._find(Code.CLOCK_BACK, words, event.seq, _table(event))
            self._latest = recorded_at  # one clock that was wrong is one finding
        if event.form.kind == "admin":
            match event.action:
                case AdminAction.PERSONAL_DATA_ERASED:
                    self._notices[event.seq] = _notice(event)
                case AdminAction.LOG_RESTARTED:
                    self._restarts[event.seq] = str(_told(event, "target"))

    def _mismatch(self, event: Event, leaf: Leaf, erased: Sequence[Group] = ()) -> None:
        column, what = None, "its row, or the opening of its commitments, was"
        if leaf.hash == UNKNOWN:
            what = "its row, an opening of its commitments, or its proof was"
        if erased:
            what = f"its row, or the commitment to its erased {' and '.join(erased)}, was"
        if leaf.commitments and leaf.opening and leaf_hash(join_entry(event.plain, *leaf.commitments)) == leaf.hash:
            openings = leaf.opening[:OPENING_SIZE], leaf.opening[OPENING_SIZE:]
            texts = event.who, event.where
            differ = [
                group
                for group, text, opening, stated in zip(Group, texts, openings, leaf.commitments, strict=True)
                if group not in erased and len(opening) == OPENING_SIZE and commitment(group, text, opening) != stated
            ]
            if differ:
                column, what = ",".join(differ), f"its fields of {' and '.join(differ)} were"
        words = f"the {event.form.kind} event {event.seq} is not the one that its leaf tells of: {what} changed"
        self._mismatches.append(Mismatch(event.seq, _table(event), column, words))

    def _misstated(self, event: Event) -> None:
        why = "its entry has another commitment than that to its fields"
        self._malformed(Malformed(event.seq, event.form.kind, "", why))

    def _without_leaf(self, seq: int, here: Sequence[Row]) -> None:
        """Look at an event that is not in the tree yet."""
        if not here:
            self._gap(seq)
        elif len(here) > 1:
            self._duplicate(seq, here)
        elif isinstance(here[0], Malformed):
            self._malformed(here[0])

    def _unusual(self, seq: int, here: Sequence[Row], leaf: Leaf | None, erasures: Sequence[Erasure]) -> bytes | None:
        """Return the hash of a leaf that is not simply that of its row; None if it cannot be made."""
        if leaf and leaf.opening is None and leaf.hash == leaf_hash(missing_entry(seq)):
            self._declared += 1
            self._last_declared = seq
            if len(here) == 1 and isinstance(here[0], Event):
                words = f"the event {seq} was declared missing, and is there"
                self._find(Code.ROW_CHANGED, words, seq, _table(here[0]))
            return leaf.hash
        if len(here) != 1:
            self._without_leaf(seq, here)
            return None
        if isinstance(here[0], Malformed):
            self._malformed(here[0])
            return None
        event = here[0]
        if leaf is None:
            words = f"the leaf of the event {seq} is missing, and its openings with it: it cannot be proven"
            self._find(Code.TILE_MISSING, words, seq, "trail_leaves")
            return None
        opening = bytes(OPENINGS_SIZE) if leaf.opening is None else leaf.opening
        if not isinstance(opening, bytes) or len(opening) != OPENINGS_SIZE:
            self._find(Code.OPENING_MISSING, f"the openings of the event {seq} are no openings", seq, "trail_leaves")
            return None
        return self._with_erasures(event, leaf._replace(opening=opening), opening, erasures)

    def _with_erasures(self, event: Event, leaf: Leaf, opening: bytes, erasures: Sequence[Erasure]) -> bytes | None:
        seq, table = event.seq, _table(event)
        records = {each.group: each for each in erasures}
        for each in erasures:
            if each.group not in list(Group) or len(each.commitment) != HASH_SIZE:
                words = f"the record of what was erased from the event {seq} is none: its group is {each.group!r}"
                self._find(Code.ERASURE_MISMATCH, words, seq, "trail_erasures")
                return None
        commitments: dict[Group, bytes] = {}
        halves = opening[:OPENING_SIZE], opening[OPENING_SIZE:]
        for group, text, is_empty, half in zip(Group, (event.who, event.where), event.is_empty, halves, strict=True):
            record = records.get(group)
            if record:
                commitments[group] = record.commitment
                self._erased.append(Erased(seq, group, record.by_seq))
                self._erased_well(event, record, is_empty=is_empty, half=half, text=text)
            elif half != ERASED:
                commitments[group] = commitment(group, text, half)
            elif is_empty:
                words = f"{group} was erased from the event {seq}, and no record says so"
                self._find(Code.ERASED_WITHOUT_RECORD, words, seq, table, group)
            else:
                words = f"the opening of {group} of the event {seq} is missing: its fields cannot be proven"
                self._find(Code.OPENING_MISSING, words, seq, table, group)
        if len(commitments) < len(Group):
            return None
        found = leaf_hash(join_entry(event.plain, commitments[Group.WHO], commitments[Group.WHERE]))
        if found != leaf.hash:
            self._mismatch(event, leaf, [group for group in Group if group in records])
        elif leaf.commitments not in {None, (commitments[Group.WHO], commitments[Group.WHERE])}:
            self._misstated(event)
        return found

    def _erased_well(self, event: Event, record: Erasure, *, is_empty: bool, half: bytes, text: bytes) -> None:
        group, seq = Group(record.group), event.seq
        if half == ERASED and is_empty:
            return
        if half == ERASED:
            code, words = Code.FIELDS_WITHOUT_OPENING, "has fields again, which nothing proves"
        elif not is_empty and commitment(group, text, half) == record.commitment:
            code, words = Code.ERASED_ROW_SHOWS_DATA, "has its fields again, the true ones"
        else:
            code, words = Code.OPENING_NOT_ERASED, "still has its opening"
        self._find(code, f"{group} was erased from the event {seq}, and {words}", seq, _table(event), group)

    def _gap(self, seq: int) -> None:
        if self._missing and seq != self._missing[-1] + 1:
            self._end_of_gap()
        self._missing.append(seq)

    def _end_of_gap(self) -> None:
        if self._missing:
            self._findings.append(missing(self._missing[0], self._missing[-1]))
            self._missing.clear()

    def _duplicate(self, seq: int, here: Sequence[Row]) -> None:
        tables = ", ".join(_table(each) for each in here)
        words = f"{len(here)} events have the seq {seq}, in {tables}"
        self._find(Code.DUPLICATE_SEQ, words, seq, _table(here[-1]))

    def _malformed(self, row: Row) -> None:
        kind, column, why = (row.kind, row.column, row.why) if isinstance(row, Malformed) else (row.form.kind, "", "")
        words = f"the {kind} event {row.seq} is not one that this program has written: {column} {why}"
        self._find(Code.BAD_FORM, words, row.seq, _table(row), column or None)

    def _find(self, code: Code, words: str, seq: int, table: str, column: str | None = None) -> None:
        self._findings.append(Finding(code, words, seq=seq, table=table, column=column))

    def _edges(self) -> tuple[Sequence[bytes], dict[int, Sequence[bytes]]]:
        """Return the edge of the tree over the block as its rows make it, and those at the sizes asked for."""
        task = self._task
        tree = Frontier((task.first - 1) % LENGTH, task.left)
        edges: dict[int, Sequence[bytes]] = {}
        place = 0
        for size in (*task.sizes, task.last):
            end = size - task.first + 1
            while place < end:
                if tree.size % WIDTH == 0 and end - place >= WIDTH:
                    tree.append(root(self._made[place : place + WIDTH]), BITS)
                    place += WIDTH
                else:
                    tree.append(self._made[place])
                    place += 1
            edges[size] = tuple(tree.hashes)
        return edges[task.last], edges

    def _compare_tile(self, *, differs: bool) -> None:
        """Compare the hashes of whole tiles of leaves with the tile above them."""
        before = self._task.first - 1
        skipped = -before % WIDTH  # leaves of a tile that did not begin here
        roots = [
            self._roots(slice(place, place + WIDTH), differs=differs)
            for place in range(skipped, len(self._made) - WIDTH + 1, WIDTH)
        ]
        if not roots or not self._source.has_tiles:
            return
        first = (before + skipped) // WIDTH
        tile = self._source.tile(1, first // WIDTH)
        self._findings.extend(compare_tile(1, first, roots, tile))

    def _roots(self, leaves: slice, *, differs: bool) -> list[bytes]:
        """Return the roots that a tile of leaves can have; none if one of them is not known."""
        made = self._made[leaves]
        if UNKNOWN in made:
            return []
        return [root(made), root(self._stored[leaves])] if differs else [root(made)]


def compare_tile(level: int, first: int, roots: Sequence[Sequence[bytes]], tile: bytes | None) -> list[Finding]:
    """Return what is wrong with a *tile*; each of its hashes, from *first* of the level on, has to be one of *roots*.

    Where these are none it may be any.
    """
    number, place = divmod(first, WIDTH)
    span = WIDTH**level
    if tile is None:
        words = f"the tile {number} of level {level} of the tree is missing"
        return [Finding(Code.TILE_MISSING, words, first * span + 1, (first + len(roots)) * span, "trail_tiles")]
    found = [tile[begin : begin + HASH_SIZE] for begin in range(place * HASH_SIZE, len(tile), HASH_SIZE)]
    found += [b""] * (len(roots) - len(found))
    return [
        Finding(
            Code.TILE_CHANGED,
            f"the hash {place + each} of the tile {number} of level {level} is not that of the leaves below it",
            (first + each) * span + 1,
            (first + each + 1) * span,
            "trail_tiles",
        )
        for each, expected in enumerate(roots)
        if expected and found[each] not in expected
    ]


def _is_long_before(one: str, other: str) -> bool:
    try:
        return datetime.fromisoformat(other) - datetime.fromisoformat(one) > CLOCK_BACK
    except ValueError:  # one of them is no time, and its event not the one that was signed
        return False


def _table(row: Row) -> str:
    return KIND_NAMED[row.form.kind if isinstance(row, Event) else row.kind].table


def _notice(event: Event) -> Notice:
    match _told(event, "details"):
        case {"groups": list(groups), "rows": int(rows), "digest": str(digest)}:
            return Notice(tuple(map(str, groups)), rows, digest)
    return Notice()


def _told(event: Event, name: str) -> Any:
    """Return a field of who; None if that is no JSON object with it, which a bundle may have there."""
    try:
        return json.loads(event.who)[name]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
