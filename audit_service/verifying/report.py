"""What a verifier says at the end: what is proven, by whose signature, until when, and what is not."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import msgspec

from audit_service.verifying.checkpoints import Known
from audit_service.verifying.findings import Code, Finding, Weight, missing

_NULL = b"null"
_MOST = 100  # findings of a code that are kept; others are counted


class Verdict(IntEnum):
    """The exit status of the command."""

    PROVEN = 0
    TAMPERED = 1
    NOT_PROVEN = 2


class Report:
    """Findings, and figures.

    ``events``: the last event that was looked at; ``latest``: the newest checkpoint whose root is that of the
    history, ``proven``: the newest one that enough witnesses have cosigned, too; ``unsigned``: events that it does not
    cover, the oldest of which was recorded ``unsigned_seconds`` ago; ``recorded_at``: when the last event was recorded
    that it covers, in UTC; ``part``: the first and the last event of a part; ``event``: if it is a single one, the
    canonical JSON of its entry and its groups; ``others``: stored checkpoints of earlier logs, which prove nothing of
    this one.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.origin: str | None = None
        self.events = self.checkpoints = self.others = 0
        self.erased = self.declared = 0  # events
        self.proven: Known | None = None
        self.latest: Known | None = None
        self.recorded_at: str | None = None
        self.part: tuple[int, int] | None = None
        self.event: Mapping[str, bytes] = {}
        self.unsigned = 0
        self.unsigned_seconds: float | None = None
        self.findings: list[Finding] = []
        self.counts: Counter[Code] = Counter()

    def add(self, finding: Finding) -> None:
        """Add what was found; what goes on where the last one ended is one with it."""
        last = self.findings[-1] if self.findings else None
        if (
            last
            and last.seq
            and last.code is finding.code is Code.MISSING
            and finding.seq == (last.last or last.seq) + 1
        ):
            self.findings[-1] = missing(last.seq, finding.last or finding.seq)
            return
        self.counts[finding.code] += 1
        if self.counts[finding.code] <= _MOST:
            self.findings.append(finding)

    def extend(self, findings: Iterable[Finding]) -> None:
        """Add what was found."""
        for each in findings:
            self.add(each)

    @property
    def verdict(self) -> Verdict:
        """What all of it comes to."""
        weights = {code.weight for code in self.counts}
        if Weight.TAMPERED in weights:
            return Verdict.TAMPERED
        return Verdict.NOT_PROVEN if Weight.UNPROVEN in weights or not self.proven else Verdict.PROVEN

    def text(self) -> str:
        """Return the findings, a line each, and below them the conclusion."""
        lines = [f"{name}: {'erased' if text == _NULL else text.decode()}" for name, text in self.event.items()]
        lines += [f"{each.code}{_place(each)}: {each.words}" for each in self.findings]
        for code, count in self.counts.items():
            if count > _MOST:
                lines.append(f"{code}: and {count - _MOST} more")
        if self.others:
            lines.append(f"{self.others} checkpoints of earlier logs are stored; they prove nothing of this one")
        return "\n".join(map(printable, [*lines, self.conclusion()]))

    def as_json(self) -> dict[str, Any]:
        """Return all of it, for machines."""
        proven = self.proven
        return {
            "verdict": self.verdict.name.lower(),
            "conclusion": self.conclusion(),
            "origin": self.origin,
            "event": {name: msgspec.Raw(text) for name, text in self.event.items()} or None,
            "part": self.part and {"first": self.part[0], "last": self.part[1]},
            "proven": proven
            and {
                "size": proven.checkpoint.size,
                "root": proven.checkpoint.root.hex(),
                "signed_by": proven.signers,
                "cosigned_at": proven.times,
                "from": proven.where,
                "recorded_until": self.recorded_at,
            },
            "events": self.events,
            "unsigned": self.unsigned,
            "unsigned_seconds": self.unsigned_seconds,
            "erased": self.erased,
            "declared_missing": self.declared,
            "checkpoints": self.checkpoints,
            "checkpoints_of_earlier_logs": self.others,
            "findings": self.findings,
            "counts": self.counts,
        }

    def conclusion(self) -> str:
        """Return a sentence that says what is proven, and what is not."""
        if self.verdict is Verdict.TAMPERED:
            found = sum(count for code, count in self.counts.items() if code.weight is Weight.TAMPERED)
            return f"NOT as it was signed: {found} finding{'s' if found > 1 else ''}"
        if self.proven is None:
            return "nothing is proven"
        what = self._what(self.proven.checkpoint.size)
        if Code.NO_KEY in self.counts:
            remedy = "give --vkey, or a --policy with a line 'log KEY'"
            sentence = f"self-consistent only: {what}, whose signature nobody has checked: {remedy}"
        else:
            parts = [f"{what}, signed by {' and '.join(self.proven.signers)}"]
            for name, time in sorted(self.proven.times.items()):
                parts.append(f"cosigned by {name} at {datetime.fromtimestamp(time, UTC):%Y-%m-%dT%H:%M:%SZ}")
            sentence = f"{'proven' if self.verdict is Verdict.PROVEN else 'proven only in part'}: {', '.join(parts)}"
        if self.unsigned > 0:
            age = "" if self.unsigned_seconds is None else f" (the oldest for {self.unsigned_seconds:.0f} s)"
            sentence += f"; {self.unsigned} newer {_events(self.unsigned, 'is', 'are')} not signed yet{age}"
        if self.erased:
            sentence += f"; personal data of {self.erased} {'event' if self.erased == 1 else 'events'} were erased"
        if self.declared:
            sentence += f"; {self.declared} {_events(self.declared, 'was', 'were')} declared missing"
        if self.part:
            sentence += f"; nothing is said of {'other events' if self.event else 'events before and after'}"
        return sentence

    def _what(self, size: int) -> str:
        """Return which events are those of the checkpoint of *size*, and until when they were recorded."""
        first, last = self.part or (1, size)
        last = min(last, size)
        which = "" if first == last else "the last one "
        time = f", {which}recorded at {self.recorded_at}," if self.recorded_at else ""
        if self.event:
            return f"this event{time} is number {last} of the log {self.origin}, by its checkpoint of {size}"
        if first == last:
            return f"event {last}{time} is that of the checkpoint of {size}"
        return f"{'all ' if self.part else ''}events {first} to {last}{time} are those of the checkpoint of {size}"


def _events(count: int, one: str, many: str) -> str:
    return f"event {one}" if count == 1 else f"events {many}"


def printable(text: str) -> str:
    """Return *text* with escapes for what a terminal would obey, or not show."""
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def _place(finding: Finding) -> str:
    if finding.seq is None:
        return f" table={finding.table}" if finding.table else ""
    span = str(finding.seq) if finding.last in {None, finding.seq} else f"{finding.seq}-{finding.last}"
    parts = {"seq": span, "table": finding.table, "column": finding.column}
    return "".join(f" {name}={value}" for name, value in parts.items() if value)
