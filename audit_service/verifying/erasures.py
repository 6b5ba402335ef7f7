"""Whether the records of what was erased are those that signed admin events tell of."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from audit_service.proving.rows import Event
from audit_service.verifying.findings import Code, Finding
from audit_service.verifying.leaves import Erased
from audit_service.verifying.notices import Notice
from audit_service.verifying.source import Part, Source
from audit_service.vocabulary import AdminAction


class Erasures:
    """What was erased, by the event that tells of it. Blocks are added in their order."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.count = 0  # events
        self._by_seq: dict[int, _Records] = {}
        self._notices: dict[int, Notice] = {}
        self._last = 0

    def add(self, erased: Iterable[Erased], notices: Mapping[int, Notice]) -> None:
        """Add those of a block, in the order of ``seq``."""
        self._notices.update(notices)
        for each in erased:
            self.count += each.seq != self._last
            self._last = each.seq
            self._by_seq.setdefault(each.by_seq, _Records()).add(each)

    def findings(self, source: Source, events: int, part: Part | None) -> Iterable[Finding]:
        """Yield what is wrong, once all blocks up to the last of so many *events* are added.

        Of a *part* less can be said: it need not have the event that tells of the erasure, or the other records.
        """
        for seq, records in sorted(self._by_seq.items()):
            notice = self._notices.get(seq)
            if part and seq > max(part.last, records.last):
                continue
            if seq > events:  # it came while the blocks were read, and not all of what it tells of was seen
                if not _is_notice(source, seq):
                    yield records.not_signed(seq)
            elif notice is None or seq <= records.last:
                yield records.not_signed(seq)
            elif not part and records.differs(notice):
                words = f"the event {seq} tells of {notice.rows} events that were erased from, the records of others"
                yield Finding(Code.ERASURE_MISMATCH, words, seq=seq, table="trail_erasures")
        for seq, notice in sorted(self._notices.items()):
            if seq not in self._by_seq and notice.rows and not part:
                words = f"the event {seq} tells of {notice.rows} events that were erased from, and there is no record"
                yield Finding(Code.ERASURE_MISMATCH, words, seq=seq, table="trail_erasures")


class _Records:
    """The records that name one event."""

    def __init__(self) -> None:
        self.first = self.last = self._rows = 0
        self._digest = hashlib.sha256()
        self._groups: set[str] = set()

    def add(self, erased: Erased) -> None:
        """Add the next one."""
        if erased.seq != self.last:
            self._rows += 1
            self._digest.update(b"%d\n" % erased.seq)
        self.first, self.last = self.first or erased.seq, erased.seq
        self._groups.add(erased.group)

    def differs(self, notice: Notice) -> bool:
        """Tell whether the event says otherwise. It may name a group that was empty in all events."""
        is_same = (self._rows, self._digest.hexdigest()) == (notice.rows, notice.digest)
        return not is_same or not self._groups <= set(notice.groups)

    def not_signed(self, seq: int) -> Finding:
        """Return the finding that the event that the records name tells of nothing that was erased."""
        words = f"fields were erased from {self._rows} events from {self.first} on, and the event {seq} does not say so"
        return Finding(Code.ERASURE_NOT_SIGNED, words, self.first, self.last, "trail_erasures")


def _is_notice(source: Source, seq: int) -> bool:
    rows: Sequence[object] = source.block(seq, seq).rows
    return any(
        isinstance(row, Event) and row.form.kind == "admin" and row.action == AdminAction.PERSONAL_DATA_ERASED
        for row in rows
    )
