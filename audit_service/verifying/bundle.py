"""A bundle as the source of a history that is verified: read member by member, and nothing of it is extracted.

Whoever made it may have put anything into it: names, sizes and lines have their limits, and a member that is a link, or
is there twice, is refused.
"""

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from os import SEEK_END
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
    README,
    STAMPS,
    TILES,
)
from audit_service.proofs.checkpoint import parse_checkpoint
from audit_service.proofs.entry import FORMS, MISSING, Group, missing_entry
from audit_service.proofs.merkle import HASH_SIZE
from audit_service.proofs.note import parse_note
from audit_service.proofs.strict import base64
from audit_service.proofs.tile_path import BITS, WIDTH, Tile
from audit_service.proving.leaves import ERASED
from audit_service.proving.log import StoredCheckpoint
from audit_service.proving.rows import Event, Malformed
from audit_service.verifying.findings import Code, Finding
from audit_service.verifying.source import Block, Erasure, Head, Leaf

SMALL = 1 << 20  # bytes that every member may have but the two lists
RATIO = 100  # by which a compressed bundle may grow
_BLOCK = tarfile.BLOCKSIZE
_COPY = 1 << 20  # bytes
_SEQ = re.compile(rb'"seq":([1-9][0-9]{0,17})[,}]')
_NULL = b"null"


class _Openings(msgspec.Struct):
    where: str | None
    who: str | None


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    entry: msgspec.Raw
    openings: _Openings | None
    where: msgspec.Raw
    who: msgspec.Raw


class _ErasureLine(msgspec.Struct, forbid_unknown_fields=True):
    by_seq: int
    commitment: str
    group: str
    seq: int


class _Manifest(msgspec.Struct):
    format: str
    floor: int
    claims_completeness: bool


_line = msgspec.json.Decoder(_Line).decode
_fields = msgspec.json.Decoder(dict[str, str | int | None]).decode
_encode = msgspec.json.Encoder().encode


class Place(NamedTuple):
    """Where the content of a member is in the archive: its first byte, and the one after its last."""

    begin: int
    end: int


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
        self._places = _members(file)
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
            self._add_erasure(line)
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
            findings=list(self._misplaced()),
        )

    def block(self, first: int, last: int) -> Block:
        """Return the events with ``seq`` from *first* to *last*, both included."""
        rows: list[Event | Malformed] = []
        leaves: dict[int, Leaf] = {}
        begin = self._next[1] if self._next[0] == first else self._find(first)
        for line in self._lines(begin, self._events.end):
            seq = _seq_of(line)
            if seq > last:
                break
            begin += len(line)
            row, opening, commitments = _parsed(line, seq)
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

    def _add_erasure(self, line: bytes) -> None:
        try:
            given = msgspec.json.decode(line, type=_ErasureLine)
            commitment = bytes.fromhex(given.commitment)
        except ValueError as error:
            raise ProofError(f"a line of {ERASURES} is not what it has to be: {error}") from None
        self._erasures.setdefault(given.seq, []).append(Erasure(given.group, commitment, given.by_seq))

    def _misplaced(self) -> Iterator[Finding]:
        """Yield a finding for each line that is not in its place: the blocks are looked for by the order of lines."""
        latest = 0
        for line in self._lines(self._events.begin, self._events.end):
            seq = _seq_of(line)
            if not latest < seq <= self._checkpoint.size:
                words = f"{EVENTS} has a line with the seq {seq} after that of {latest}, and the last is that of "
                yield Finding(Code.OUT_OF_RANGE, f"{words}{self._checkpoint.size}", seq=seq, table=EVENTS)
                return
            latest = seq

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
            elif _seq_of(line) < seq:
                low = begin + len(line)
            elif middle == low:
                return low
            else:
                high = middle
        return low

    def _lines(self, begin: int, end: int) -> Iterator[bytes]:
        """Yield the lines of a part of the file. Raises ``ProofError`` for one that is too long, or has no end."""
        while begin < end:
            self._file.seek(begin)  # other parts are read in between
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


def _members(file: IO[bytes]) -> dict[str, Place]:
    """Return where the members of a tar archive are. Raises ``ProofError`` for what a bundle has not."""
    found: dict[str, Place] = {}
    size, place = file.seek(0, SEEK_END), 0
    while place < size:
        file.seek(place)
        header = file.read(_BLOCK)
        if not any(header):  # the end
            break
        try:
            member = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise ProofError(f"this is no bundle: {error}") from None
        begin = place + _BLOCK
        end = begin + member.size
        if not member.isreg() or not _NAME.fullmatch(member.name) or member.name in found:
            raise ProofError(f"a bundle has no such member, or not twice: {member.name[:80]!r}")
        if member.size < 0 or end > size:
            raise ProofError(f"{member.name} is cut off")
        found[member.name] = Place(begin, end)
        place = end + -member.size % _BLOCK
    for name in (MANIFEST, CHECKPOINT, ERASURES, EVENTS):
        if name not in found:
            raise ProofError(f"this is no bundle: it has no {name}")
    return found


_NAME = re.compile(
    rf"{README}|{MANIFEST}|{CHECKPOINT}|{CHECKPOINTS}[^/]{{1,64}}/(?:0|[1-9][0-9]{{0,17}})|{ERASURES}|{EVENTS}"
    rf"|{STAMPS}[^/]{{1,64}}/(?:0|[1-9][0-9]{{0,17}})\.tsr|{TILES}[0-9]{{1,2}}/(?:x[0-9]{{3}}/){{0,6}}[0-9]{{3}}(?:\.p/[0-9]{{1,3}})?"
)


def _seq_of(line: bytes) -> int:
    """Return the seq of a line, 0 if it has none."""
    found = _SEQ.search(line)
    return int(found[1]) if found else 0


Parsed = tuple[Event | Malformed | None, bytes | None, tuple[bytes, bytes] | None]


def _parsed(line: bytes, seq: int) -> Parsed:
    """Return the event of a line, its openings and its commitments; no event if it is declared missing."""
    try:
        given = _line(line)
        fields = _fields(given.entry)
        if fields.get("kind") == MISSING and bytes(given.entry) == missing_entry(seq):
            return None, None, None
        form = FORMS[str(fields["kind"])]
        plain = [fields.get(name) for name in form.plain]
        who, where = bytes.fromhex(str(fields[Group.WHO])), bytes.fromhex(str(fields[Group.WHERE]))
        opening = _opening(given.openings) if given.openings else None
        texts = bytes(given.who), bytes(given.where)
        parts = bytes(given.entry), _encode(given.openings), texts[1], texts[0]
        is_canonical = line == b'{"entry":%b,"openings":%b,"where":%b,"who":%b}\n' % parts
        if not is_canonical or form.entry(plain, who, where) != parts[0] or fields["seq"] != seq:
            return Malformed(seq, form.kind, "", f"its line in {EVENTS} is not in its canonical form"), None, None
    except (ValueError, KeyError, ProofError) as error:
        return Malformed(seq, next(iter(FORMS)), "", f"its line in {EVENTS} is none: {error}"), None, None
    is_empty = texts[0] == _NULL, texts[1] == _NULL
    return Event(seq, form, plain, *texts, is_empty), opening, (who, where)


def _opening(given: _Openings) -> bytes:
    return b"".join(ERASED if text is None else base64(text) for text in (given.who, given.where))
