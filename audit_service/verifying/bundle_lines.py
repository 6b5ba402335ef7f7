"""The lines of a bundle: an event with the openings of its commitments, or the record of what was erased."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from audit_service.errors import ProofError
from audit_service.proofs.bundle_format import ERASURES
from audit_service.proofs.entry import FORMS, MISSING, VERSION, Form, Group, missing_entry, split_entry
from audit_service.proofs.strict import decode_base64
from audit_service.proving.disclosures import Openings
from audit_service.proving.leaves import ERASED
from audit_service.proving.rows import Event, Malformed
from audit_service.verifying.source import Erasure

_SEQ = re.compile(rb'"seq":([1-9][0-9]{0,17})[,}]')
_KIND = re.compile(rb'"kind":"([a-z]{1,20})"')
_NULL = b"null"
_MISSING = b'{"entry":%b,"openings":null,"where":null,"who":null}\n'  # it has nothing that could be shown
_PROOF = b',"proof":['
_MOST_HASHES = 63  # of a proof


class _Line(msgspec.Struct, forbid_unknown_fields=True):  # its fields are sorted, as those of the canonical form are
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
        entry, texts = bytes(given.entry), (bytes(given.who), bytes(given.where))
        found = _KIND.search(entry)
        kind = found[1].decode() if found else ""
        if kind == MISSING and line == _MISSING % missing_entry(seq):
            return Line(None, entry)
        fields = _ENTRIES[kind](entry)
        plain, who, where = split_entry(entry)
        opening = _opening(given.openings) if given.openings else None
        if _encode(given) != line[:-1] or _encode(fields) != entry or fields.seq != seq:
            return Line(Malformed(seq, kind, "", "its JSON is not in its canonical form"))
    except (ValueError, KeyError, RecursionError, ProofError) as error:
        return Line(Malformed(seq, next(iter(FORMS)), "", f"its JSON is that of none: {error}"))
    is_empty = texts[0] == _NULL, texts[1] == _NULL
    action = getattr(fields, "action", None) or ""
    event = Event(seq, FORMS[kind], fields.recorded_at, action, plain, *texts, is_empty)
    return Line(event, entry, opening, (who, where))


def _decoder(form: Form) -> Callable[[bytes], Any]:
    """Return what reads an entry of *form*. What it gives is written again in the canonical form."""
    types: dict[str, Any] = {"kind": Literal[form.kind], "v": Literal[VERSION], "seq": int}
    types |= dict.fromkeys(("recorded_at", "timestamp", Group.WHO.value, Group.WHERE.value), str)
    names = sorted({*form.plain, *types})
    fields = [(name, types.get(name, str | None), *((None,) if name in form.later else ())) for name in names]
    shape = msgspec.defstruct("Entry", fields, kw_only=True, omit_defaults=True, forbid_unknown_fields=True)
    return msgspec.json.Decoder(shape).decode


_ENTRIES = {form.kind: _decoder(form) for form in FORMS.values()}


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
