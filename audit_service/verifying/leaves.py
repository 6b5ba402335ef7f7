"""Leaves of events, made again from their rows, and what is wrong with those that are not the stored ones."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from audit_service.proofs.entry import OPENING_SIZE, Group, commitment, join_entry
from audit_service.proofs.merkle import HASH_SIZE, leaf_hash
from audit_service.proving.leaves import ERASED, OPENINGS_SIZE
from audit_service.proving.rows import Event
from audit_service.verifying.findings import Code, Finding, bad_form, table_name
from audit_service.verifying.source import UNKNOWN, Erasure, Leaf


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


class Leaves:
    """Makes the leaves of a block's events. ``mismatches`` and ``erased`` are in the order of the calls."""

    def __init__(self, find: Callable[[Finding], None]) -> None:
        """Begin with nothing. What is wrong is given to *find*."""
        self._find = find
        self.mismatches: list[Mismatch] = []
        self.erased: list[Erased] = []

    def usual(self, event: Event, leaf: Leaf) -> bytes | None:
        """Return the hash of the leaf of an event that nothing was erased from; None if its openings say otherwise."""
        if leaf.opening is not None and len(leaf.opening) == OPENINGS_SIZE:
            who, where = leaf.opening[:OPENING_SIZE], leaf.opening[OPENING_SIZE:]
            if who != ERASED != where:
                commitments = commitment(Group.WHO, event.who, who), commitment(Group.WHERE, event.where, where)
                return self._compared(event, leaf, commitments)
        return None

    def unusual(self, event: Event, leaf: Leaf | None, erasures: Sequence[Erasure]) -> bytes | None:
        """Return the hash of the leaf of any event, with the records of what was erased; None if it cannot be made."""
        seq = event.seq
        if leaf is None:
            words = f"the leaf of the event {seq} is missing, and its openings with it: it cannot be proven"
            self._find(Finding(Code.TILE_MISSING, words, seq=seq, table="trail_leaves"))
            return None
        opening = bytes(OPENINGS_SIZE) if leaf.opening is None else leaf.opening
        if len(opening) != OPENINGS_SIZE:
            words = f"the openings of the event {seq} are no openings"
            self._find(Finding(Code.OPENING_MISSING, words, seq=seq, table="trail_leaves"))
            return None
        for each in erasures:
            if each.group not in list(Group) or len(each.commitment) != HASH_SIZE:
                words = f"the record of what was erased from the event {seq} is none: its group is {each.group!r}"
                self._find(Finding(Code.ERASURE_MISMATCH, words, seq=seq, table="trail_erasures"))
                return None
        records = {Group(each.group): each for each in erasures}
        who = self._commitment(event, Group.WHO, opening[:OPENING_SIZE], records.get(Group.WHO))
        where = self._commitment(event, Group.WHERE, opening[OPENING_SIZE:], records.get(Group.WHERE))
        if who is None or where is None:
            return None
        erased = [group for group in Group if group in records]
        return self._compared(event, leaf._replace(opening=opening), (who, where), erased)

    def _compared(
        self, event: Event, leaf: Leaf, commitments: tuple[bytes, bytes], erased: Sequence[Group] = ()
    ) -> bytes:
        """Return the hash of the leaf with these commitments, compared with the stored one."""
        made = leaf_hash(join_entry(event.plain, *commitments))
        if made != leaf.hash:
            self.mismatches.append(_mismatch(event, leaf, erased))
        elif leaf.commitments not in {None, commitments}:
            self._find(bad_form(event, "its entry has another commitment than that to its fields"))
        return made

    def _commitment(self, event: Event, group: Group, opening: bytes, record: Erasure | None) -> bytes | None:
        """Return the commitment to a group's fields, the recorded one if they were erased; None if it has none."""
        seq = event.seq
        text, is_empty = (event.who, event.is_empty[0]) if group is Group.WHO else (event.where, event.is_empty[1])
        if record:
            self.erased.append(Erased(seq, group, record.by_seq))
            if opening == ERASED and is_empty:
                return record.commitment
            if opening == ERASED:
                code, words = Code.FIELDS_WITHOUT_OPENING, "has fields again, which nothing proves"
            elif not is_empty and commitment(group, text, opening) == record.commitment:
                code, words = Code.ERASED_ROW_SHOWS_DATA, "has its fields again, the true ones"
            else:
                code, words = Code.OPENING_NOT_ERASED, "still has its opening"
            self._found(event, group, code, f"{group} was erased from the event {seq}, and {words}")
            return record.commitment
        if opening != ERASED:
            return commitment(group, text, opening)
        if is_empty:
            words = f"{group} was erased from the event {seq}, and no record says so"
            self._found(event, group, Code.ERASED_WITHOUT_RECORD, words)
        else:
            words = f"the opening of {group} of the event {seq} is missing: its fields cannot be proven"
            self._found(event, group, Code.OPENING_MISSING, words)
        return None

    def _found(self, event: Event, group: Group, code: Code, words: str) -> None:
        self._find(Finding(code, words, seq=event.seq, table=table_name(event), column=group))


def _mismatch(event: Event, leaf: Leaf, erased: Sequence[Group]) -> Mismatch:
    """Return what of an event is not as its leaf has it, as far as that can be told."""
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
            if group not in erased and commitment(group, text, opening) != stated
        ]
        if differ:
            column, what = ",".join(differ), f"its fields of {' and '.join(differ)} were"
    words = f"the {event.form.kind} event {event.seq} is not the one that its leaf tells of: {what} changed"
    return Mismatch(event.seq, table_name(event), column, words)
