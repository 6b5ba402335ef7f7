"""A bundle as the source of a history that is verified: read member by member, and nothing of it is extracted.

Whoever made it may have put anything into it: names, sizes and lines have their limits, and a member that is a link, or
is there twice, is refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from audit_service.errors import ProofError
from audit_service.proofs.bundle_format import (
    CHECKPOINT,
    CHECKPOINTS,
    ERASURES,
    EVENTS,
    FORMAT,
    MANIFEST,
    TILES,
)
from audit_service.proofs.checkpoint import parse_checkpoint
from audit_service.proofs.entry import Group
from audit_service.proofs.merkle import HASH_SIZE
from audit_service.proofs.note import LARGEST, parse_note
from audit_service.proofs.tile_path import BITS, WIDTH, Tile
from audit_service.proving.rows import Row
from audit_service.verifying.bundle_lines import cut_proof, parse_erasure, parse_event, seq_of
from audit_service.verifying.bundle_list import LineList, Order
from audit_service.verifying.bundle_members import Members, Place
from audit_service.verifying.findings import Code, Finding
from audit_service.verifying.proven_lines import Span, part_of, proven_leaf
from audit_service.verifying.source import Block, Erasure, Head, Leaf

LARGEST_MANIFEST = 1 << 20  # bytes


class _Manifest(msgspec.Struct):
    format: str
    floor: int
    claims_completeness: bool
    first: int = msgspec.field(name="from")
    last: int = msgspec.field(name="to")


class BundleOpener(NamedTuple):
    """Opens a bundle that is not compressed as a source; ``members``: where they are in it, found once for all."""

    path: Path
    members: Members

    @contextmanager
    def __call__(self) -> Iterator["BundleSource"]:
        """Open the bundle. Raises ``ProofError`` for what is none, and ``OSError``."""
        with self.path.open("rb") as file:
            yield BundleSource(file, self.members)


class BundleSource:
    """The members of a bundle, read where they are."""

    def __init__(self, file: IO[bytes], members: Members) -> None:
        """Read *file*, a tar archive with these *members*. Raises ``ProofError`` for what is no bundle."""
        self._file = file
        self._places, self._checkpoints = members
        self._note = self._content(CHECKPOINT, LARGEST)
        self._checkpoint = parse_checkpoint(parse_note(self._note).text)
        self._manifest = self._read_manifest()
        self.has_tiles = self._manifest.claims_completeness
        first, last = self._manifest.first, self._manifest.last
        if self.has_tiles:
            first, last = 1, self._checkpoint.size
        self._events = LineList(file, self._places[EVENTS], Order(first, last, most=1), seq_of)
        self._erasures = LineList(file, self._places[ERASURES], Order(first, last, most=len(Group)), seq_of)
        self._tile: tuple[int, bytes] | None = None

    def head(self) -> Head:
        """Return what the bundle says of itself."""
        checkpoint, log_id = self._checkpoint, self._checkpoint.origin.rpartition("/")[2]
        return Head(
            origin=checkpoint.origin,
            log_id=log_id,
            events=checkpoint.size,
            size=checkpoint.size,
            root=checkpoint.root,
            floor=self._manifest.floor if self.has_tiles else 0,  # a part says nothing of what is before it
            declared=0,
            checkpoints=self._notes(log_id),
            others=sum(len(places) // 3 for log, places in self._checkpoints.items() if log != log_id),
            cosignatures={},
            findings=(),
            part=None if self.has_tiles else part_of(self._span(), checkpoint.size),
        )

    def block(self, first: int, last: int) -> Block:
        """Return the events with ``seq`` from *first* to *last*, both included."""
        rows: list[Row] = []
        leaves: dict[int, Leaf] = {}
        erasures: dict[int, list[Erasure]] = {}
        findings: list[Finding] = []
        for seq, text in self._erasures.between(first, last):
            told, erasure = parse_erasure(text)
            known = erasures.setdefault(seq, [])
            if told != seq or (known and erasure.group <= known[-1].group):
                findings.append(_misplaced(ERASURES, seq))  # what it tells may be any number
            known.append(erasure)
        for seq, text in self._events.between(first, last):
            if self.has_tiles:
                line = parse_event(text, seq)
                leaves[seq] = Leaf(self._leaf(seq), line.opening, line.commitments)
            else:
                without, proof = cut_proof(text)
                line = parse_event(without, seq)
                leaves[seq] = proven_leaf(seq, line, proof, self._checkpoint)
            if line.event:
                rows.append(line.event)
        rows.sort(key=itemgetter(0))
        if self.has_tiles:
            for seq in range(first, min(last, self._checkpoint.size) + 1):
                if seq not in leaves and (hash_ := self._leaf(seq)):
                    leaves[seq] = Leaf(hash_, None)
        for name, lines in ((EVENTS, self._events), (ERASURES, self._erasures)):
            findings += [] if lines.misplaced is None else [_misplaced(name, lines.misplaced)]
        return Block(rows, leaves, erasures, findings)

    def count(self, last: int) -> None:  # noqa: ARG002 - a line is found by its seq, or is not in its place
        """Return None."""
        return

    def tile(self, level: int, number: int) -> bytes | None:
        """Return the tile of a *level*; None if there is none."""
        count = (self._checkpoint.size >> BITS * level) - number * WIDTH
        name = TILES + Tile(level, number, min(WIDTH, count)).path() if count > 0 else ""
        return self._content(name, WIDTH * HASH_SIZE) if name in self._places else None

    def _leaf(self, seq: int) -> bytes:
        """Return the hash of a leaf as the tree has it; nothing if it has none."""
        number, place = divmod(seq - 1, WIDTH)
        if self._tile is None or self._tile[0] != number:
            self._tile = (number, self.tile(0, number) or b"")
        return self._tile[1][place * HASH_SIZE : (place + 1) * HASH_SIZE]

    def _notes(self, log_id: str) -> Iterator[tuple[int, bytes]]:
        """Yield the checkpoints of the log, each when it is asked for: they may be many, and large."""
        places = iter(self._checkpoints.get(log_id, ()))
        for size, begin, end in zip(places, places, places, strict=True):
            if size != self._checkpoint.size:
                yield size, self._read(Place(begin, end), f"{CHECKPOINTS}{log_id}/{size}", LARGEST)
        yield self._checkpoint.size, self._note

    def _span(self) -> Span:
        """Return the events that a part has; its first and its last line tell what is beside them."""
        first, last = self._manifest.first, self._manifest.last
        proofs = [
            next((cut_proof(line)[1] for _, line in self._events.between(seq, seq)), None) for seq in (first, last)
        ]
        return Span(first, last, (proofs[0], proofs[-1]))

    def _read_manifest(self) -> _Manifest:
        try:
            manifest = msgspec.json.decode(self._content(MANIFEST, LARGEST_MANIFEST), type=_Manifest)
        except msgspec.MsgspecError as error:
            raise ProofError(f"{MANIFEST} is not what it has to be: {error}") from None
        if manifest.format != FORMAT:
            raise ProofError(f"this is no {FORMAT}, but {manifest.format[:80]!r}")
        if not manifest.claims_completeness and not 1 <= manifest.first <= manifest.last <= self._checkpoint.size:
            span, size = f"events {manifest.first} to {manifest.last}", self._checkpoint.size
            raise ProofError(f"{MANIFEST} is not what it has to be: it says that there are {span} of {size}")
        return manifest

    def _content(self, name: str, longest: int) -> bytes:
        if name not in self._places:
            raise ProofError(f"the bundle has no {name}")
        return self._read(self._places[name], name, longest)

    def _read(self, place: Place, name: str, longest: int) -> bytes:
        begin, end = place
        if end - begin > longest:
            raise ProofError(f"{name} is larger than {longest} bytes")
        self._file.seek(begin)
        return self._file.read(end - begin)


def _misplaced(name: str, seq: int) -> Finding:
    words = f"{name} has a line with the seq {seq}, which is not in its place: they rise from line to line"
    return Finding(Code.OUT_OF_RANGE, words, seq=seq, table=name)
