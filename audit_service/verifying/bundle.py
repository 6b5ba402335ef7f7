"""A bundle as the source of a history that is verified: read member by member, and nothing of it is extracted.

Whoever made it may have put anything into it: names, sizes and lines have their limits, and a member that is a link, or
is there twice, is refused.
"""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, NamedTuple

import msgspec

from audit_service.errors import ProofError
from audit_service.proofs.bundle_format import (
    CHECKPOINT,
    CHECKPOINTS,
    ERASURES,
    EVENTS,
    FORMAT,
    LONGEST_LINE,
    MANIFEST,
    TILES,
)
from audit_service.proofs.checkpoint import parse_checkpoint
from audit_service.proofs.merkle import HASH_SIZE
from audit_service.proofs.note import parse_note
from audit_service.proofs.tile_path import BITS, WIDTH, Tile
from audit_service.proving.log import StoredCheckpoint
from audit_service.proving.rows import Event, Malformed
from audit_service.verifying.bundle_lines import parse_erasure, parse_event, seq_of
from audit_service.verifying.bundle_members import Place, find_members
from audit_service.verifying.findings import Code, Finding
from audit_service.verifying.source import Block, Erasure, Head, Leaf

SMALL = 1 << 20  # bytes that every member may have but the two lists
RATIO = 100  # by which a compressed bundle may grow
_COPY = 1 << 20  # bytes


class _Manifest(msgspec.Struct):
    format: str
    floor: int
    claims_completeness: bool


class BundleOpener(NamedTuple):
    """Opens a bundle that is not compressed as a source."""

    path: Path

    @contextmanager
    def __call__(self) -> Iterator["BundleSource"]:
        """Open the bundle. Raises ``ProofError`` for what is none, and ``OSError``."""
        with self.path.open("rb") as file:
            yield BundleSource(file)


@contextmanager
def bundle_opener(path: Path) -> Iterator[BundleOpener]:
    """Yield what opens the bundle at *path*; one that is compressed is a temporary file meanwhile.

    Raises ``ProofError`` for what is none, and ``OSError``.
    """
    with path.open("rb") as file, NamedTemporaryFile(prefix="audit-bundle-") as plain:
        if file.read(2) != b"\x1f\x8b":
            yield BundleOpener(path)
            return
        left = path.stat().st_size * RATIO
        try:
            with gzip.open(path) as stream:
                while data := stream.read(_COPY):
                    left -= plain.write(data)
                    if left < 0:
                        raise ProofError(f"the bundle would be more than {RATIO} times as large without compression")
        except (EOFError, zlib.error) as error:
            raise ProofError(f"the bundle is damaged: {error}") from None
        plain.flush()
        yield BundleOpener(Path(plain.name))


class BundleSource:
    """The members of a bundle, read where they are."""

    def __init__(self, file: IO[bytes]) -> None:
        """Read *file*, a tar archive. Raises ``ProofError`` for what is no bundle of a whole history."""
        self._file = file
        self._places = find_members(file)
        try:
            manifest = msgspec.json.decode(self._content(MANIFEST), type=_Manifest)
        except msgspec.MsgspecError as error:
            raise ProofError(f"{MANIFEST} is not what it has to be: {error}") from None
        if manifest.format != FORMAT:
            raise ProofError(f"this is no {FORMAT}, but {manifest.format[:80]!r}")
        if not manifest.claims_completeness:
            raise ProofError("this bundle has a part of the history: each event in it has a proof of its own")
        self._floor = manifest.floor
        self._note = self._content(CHECKPOINT)
        self._checkpoint = parse_checkpoint(parse_note(self._note).text)
        self._erasures: dict[int, list[Erasure]] = {}
        for line in self._lines(self._places[ERASURES].begin, self._places[ERASURES].end):
            seq, erasure = parse_erasure(line)
            self._erasures.setdefault(seq, []).append(erasure)
        self._tile: tuple[int, bytes] | None = None
        self._next = (1, self._events.begin)  # a seq, and where its line begins

    @property
    def _events(self) -> Place:
        return self._places[EVENTS]

    def head(self) -> Head:
        """Return what the bundle says of itself."""
        checkpoint, log_id = self._checkpoint, self._checkpoint.origin.rpartition("/")[2]
        prefix = f"{CHECKPOINTS}{log_id}/"
        stored = [name for name in self._places if name.startswith(CHECKPOINTS)]
        notes = {int(name.removeprefix(prefix)): name for name in stored if name.startswith(prefix)}
        newest = {checkpoint.size: CHECKPOINT}
        return Head(
            origin=checkpoint.origin,
            log_id=log_id,
            events=checkpoint.size,
            size=checkpoint.size,
            root=checkpoint.root,
            floor=self._floor,
            declared=0,
            checkpoints=[
                StoredCheckpoint(size, datetime.fromtimestamp(0, UTC), self._content(name))
                for size, name in sorted((notes | newest).items())
            ],
            others=len(stored) - len(notes),
            cosignatures={},
            findings=self._misplaced,
        )

    def block(self, first: int, last: int) -> Block:
        """Return the events with ``seq`` from *first* to *last*, both included."""
        rows: list[Event | Malformed] = []
        leaves: dict[int, Leaf] = {}
        begin = self._next[1] if self._next[0] == first else self._find(first)
        for line in self._lines(begin, self._events.end):
            seq = seq_of(line)
            if seq > last:
                break
            begin += len(line)
            row, opening, commitments = parse_event(line, seq)
            rows += [row] if row else []
            leaves[seq] = Leaf(self._leaf(seq), opening, commitments)
        self._next = (last + 1, begin)
        rows.sort(key=lambda row: row.seq)
        for seq in range(first, min(last, self._checkpoint.size) + 1):
            if seq not in leaves and (hash_ := self._leaf(seq)):
                leaves[seq] = Leaf(hash_, None)
        erasures = {seq: found for seq in range(first, last + 1) if (found := self._erasures.get(seq))}
        return Block(rows, leaves, erasures)

    def tile(self, level: int, number: int) -> bytes | None:
        """Return the tile of a *level*; None if there is none."""
        count = (self._checkpoint.size >> BITS * level) - number * WIDTH
        name = TILES + Tile(level, number, min(WIDTH, count)).path() if count > 0 else ""
        return self._content(name) if name in self._places else None

    def _leaf(self, seq: int) -> bytes:
        """Return the hash of a leaf as the tree has it; nothing if it has none."""
        number, place = divmod(seq - 1, WIDTH)
        if self._tile is None or self._tile[0] != number:
            self._tile = (number, self.tile(0, number) or b"")
        return self._tile[1][place * HASH_SIZE : (place + 1) * HASH_SIZE]

    @cached_property
    def _misplaced(self) -> list[Finding]:
        """A finding for the first line that is not in its place: the blocks are looked for by the order of lines."""
        latest = 0
        for line in self._lines(self._events.begin, self._events.end):
            seq = seq_of(line)
            if not latest < seq <= self._checkpoint.size:
                words = f"{EVENTS} has a line with the seq {seq} after that of {latest}, and the last is that of "
                return [Finding(Code.OUT_OF_RANGE, f"{words}{self._checkpoint.size}", seq=seq, table=EVENTS)]
            latest = seq
        return []

    def _find(self, seq: int) -> int:
        """Return where the first line begins whose seq is *seq* or more."""
        low, high = self._events
        while low < high:
            middle = (low + high) // 2
            begin = middle
            if middle > low:
                self._file.seek(middle - 1)
                begin = middle - 1 + len(self._file.readline(LONGEST_LINE))  # to the end of the line before
            line = next(self._lines(begin, self._events.end), None) if begin < high else None
            if line is None:
                high = middle
            elif seq_of(line) < seq:
                low = begin + len(line)
            elif middle == low:
                return low
            else:
                high = middle
        return low

    def _lines(self, begin: int, end: int) -> Iterator[bytes]:
        """Yield the lines of a part of the file. Raises ``ProofError`` for one that is too long, or has no end."""
        while begin < end:
            if self._file.tell() != begin:  # other parts are read in between
                self._file.seek(begin)
            line = self._file.readline(min(LONGEST_LINE, end - begin))
            if not line.endswith(b"\n"):
                raise ProofError(f"a line at byte {begin} has no end, or is longer than {LONGEST_LINE} bytes")
            begin += len(line)
            yield line

    def _content(self, name: str) -> bytes:
        if name not in self._places:
            raise ProofError(f"the bundle has no {name}")
        begin, end = self._places[name]
        if end - begin > SMALL:
            raise ProofError(f"{name} is larger than {SMALL} bytes")
        self._file.seek(begin)
        return self._file.read(end - begin)
