"""The lines of a bundle: an event with the openings of its commitments, or the record of what was erased."""

import re
from collections.abc import Sequence
from types import NoneType
from typing import NamedTuple

import msgspec

from audit_service.errors import ProofError
from audit_service.proofs.bundle_format import ERASURES
from audit_service.proofs.entry import FORMS, MISSING, OPENING_SIZE, Group, commitment, missing_entry
from audit_service.proofs.strict import decode_base64
from audit_service.proving.disclosures import Openings
from audit_service.proving.leaves import ERASED, OPENINGS_SIZE
from audit_service.proving.rows import Event, Malformed
from audit_service.verifying.source import Erasure

_SEQ = re.compile(rb'"seq":([1-9][0-9]{0,17})[,}]')
_NULL = b"null"
_PROOF = b',"proof":['
_MOST_HASHES = 63  # of a proof


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    entry: msgspec.Raw
    openings: Openings | None
    where: msgspec.Raw
    who: msgspec.Raw


class _ErasureLine(msgspec.Struct, forbid_unknown_fields=True):
    by_seq: int
    commitment: str
    group: str
    seq: int


_line = msgspec.json.Decoder(_Line).decode
_fields = msgspec.json.Decoder(dict[str, str | int | None]).decode
_texts = msgspec.json.Decoder(list[str]).decode
_encode = msgspec.json.Encoder().encode


def seq_of(line: bytes) -> int:
    """Return the seq of a line, 0 if it has none."""
    found = _SEQ.search(line)
    return int(found[1]) if found else 0


class Line(NamedTuple):
    """What a line has: an event, unless it is declared missing; its entry, its openings and its commitments."""

    event: Event | Malformed | None
    entry: bytes = b""
    opening: bytes | None = None
    commitments: tuple[bytes, bytes] | None = None


def cut_proof(line: bytes) -> tuple[bytes, Sequence[bytes] | None]:
    """Return a line of a part as that of a whole history, and the proof that it had; None if that is none."""
    place = line.rfind(_PROOF)
    if place < 0:
        return line, None
    try:
        texts = _texts(line[place + len(_PROOF) - 1 :].removesuffix(b"}\n"))
        proof = [decode_base64(each) for each in texts] if len(texts) <= _MOST_HASHES else None
    except (msgspec.MsgspecError, ProofError):
        proof = None
    return line[:place] + b"}\n", proof


def parse_event(line: bytes, seq: int) -> Line:
    """Return what the line of an event has."""
    try:
        given = _line(line)
        fields = _fields(given.entry)
        if fields.get("kind") == MISSING and bytes(given.entry) == missing_entry(seq):
            return Line(None, missing_entry(seq))
        form = FORMS[str(fields["kind"])]
        plain = [fields.get(name) for name in form.plain]
        who, where = bytes.fromhex(str(fields[Group.WHO])), bytes.fromhex(str(fields[Group.WHERE]))
        opening = _opening(given.openings) if given.openings else None
        texts = bytes(given.who), bytes(given.where)
        parts = bytes(given.entry), _encode(given.openings), texts[1], texts[0]
        is_canonical = line == b'{"entry":%b,"openings":%b,"where":%b,"who":%b}\n' % parts
        types = {name: type(fields[name]) for name in form.plain if name != "seq"}
        is_typed = set(types.values()) <= {str, NoneType} and types["recorded_at"] is types["timestamp"] is str
        if not is_typed or not is_canonical or form.entry(plain, who, where) != parts[0] or fields["seq"] != seq:
            return Line(Malformed(seq, form.kind, "", "its JSON is not in its canonical form"))
    except (ValueError, KeyError, RecursionError, ProofError) as error:
        return Line(Malformed(seq, next(iter(FORMS)), "", f"its JSON is that of none: {error}"))
    is_empty = texts[0] == _NULL, texts[1] == _NULL
    return Line(Event(seq, form, plain, *texts, is_empty), parts[0], opening, (who, where))


def with_true_commitments(line: Line, erasures: Sequence[Erasure]) -> Line:
    """Return *line*, without its event if its entry states other commitments than those of its fields and *erasures*.

    The verifier makes the commitments anew and would not miss them, but whoever reads the line would.
    """
    event, opening = line.event, line.opening
    if not isinstance(event, Event) or opening is None or len(opening) != OPENINGS_SIZE or line.commitments is None:
        return line
    erased = {each.group: each.commitment for each in erasures}
    halves = opening[:OPENING_SIZE], opening[OPENING_SIZE:]
    for group, text, half, stated in zip(Group, (event.who, event.where), halves, line.commitments, strict=True):
        if stated != erased.get(group, stated if half == ERASED else commitment(group, text, half)):
            why = f"its entry has another commitment to {group} than that of its fields"
            return line._replace(event=Malformed(event.seq, event.form.kind, "", why))
    return line


def _opening(given: Openings) -> bytes:
    return b"".join(ERASED if text is None else decode_base64(text) for text in (given.who, given.where))


def parse_erasure(line: bytes) -> tuple[int, Erasure]:
    """Return the ``seq`` of the event that a line tells of, and what was erased from it. Raises ``ProofError``."""
    try:
        given = msgspec.json.decode(line, type=_ErasureLine)
        commitment = bytes.fromhex(given.commitment)
    except ValueError as error:
        raise ProofError(f"a line of {ERASURES} is not what it has to be: {error}") from None
    return given.seq, Erasure(given.group, commitment, given.by_seq)
