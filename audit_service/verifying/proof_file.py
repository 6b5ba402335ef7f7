"""A single event with its proof, as the API gives it (``/api/logins/<id>/proof``), as a history of one event."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from audit_service.errors import ProofError
from audit_service.proofs.checkpoint import parse_checkpoint
from audit_service.proofs.entry import Group
from audit_service.proofs.jcs import jcs
from audit_service.proofs.note import parse_note
from audit_service.proofs.tlog_proof import parse_tlog_proof
from audit_service.proving.disclosures import Openings
from audit_service.verifying.bundle_lines import parse_event
from audit_service.verifying.proven_lines import Span, part_of, proven_leaf
from audit_service.verifying.source import Block, Erasure, Head

LARGEST = 1 << 22  # bytes


class _Given(msgspec.Struct):
    entry: dict[str, Any]
    openings: Openings | None
    proof: str
    where: dict[str, Any] | None
    who: dict[str, Any] | None

    def texts(self) -> dict[str, bytes]:
        """Return the canonical JSON of what the proof is of."""
        return {name: jcs(getattr(self, name)) for name in ("entry", "where", "who")}


class ProofOpener(NamedTuple):
    """Opens the content of a file with a proof as a source."""

    data: bytes

    @contextmanager
    def __call__(self) -> Iterator["ProofSource"]:
        """Open it. Raises ``ProofError`` for what is none."""
        yield ProofSource(_parsed(self.data))

    def event(self) -> Mapping[str, bytes]:
        """Return the canonical JSON of the entry and of each group, ``null`` for one that was erased.

        Raises ``ProofError``.
        """
        return _parsed(self.data).texts()


class ProofSource:
    """An event and what is beside it in the tree."""

    has_tiles = False

    def __init__(self, given: _Given) -> None:
        """Read what was *given*. Raises ``ProofError`` for what has no canonical form, or a proof that is none."""
        self._proof = parse_tlog_proof(given.proof.encode())
        self._checkpoint = parse_checkpoint(parse_note(self._proof.checkpoint).text)
        self._seq = self._proof.index + 1
        texts = given.texts()
        openings = msgspec.json.encode(given.openings)
        parts = texts["entry"], openings, texts["where"], texts["who"]
        self._line = parse_event(b'{"entry":%b,"openings":%b,"where":%b,"who":%b}\n' % parts, self._seq)
        shown = {Group.WHO: given.who, Group.WHERE: given.where}
        opened = msgspec.to_builtins(given.openings) or {}
        self._erased = [group for group in Group if shown[group] is None and opened.get(group) is None]

    def head(self) -> Head:
        """Return what the proof says of the log."""
        checkpoint, seq, hashes = self._checkpoint, self._seq, self._proof.hashes
        return Head(
            origin=checkpoint.origin,
            log_id=checkpoint.origin.rpartition("/")[2],
            events=checkpoint.size,
            size=checkpoint.size,
            root=checkpoint.root,
            floor=0,
            declared=0,
            checkpoints=[(checkpoint.size, self._proof.checkpoint)],
            others=0,
            cosignatures={},
            findings=(),
            part=part_of(Span(seq, seq, (hashes, hashes)), checkpoint.size),
        )

    def block(self, first: int, last: int) -> Block:
        """Return the event, if its ``seq`` is one from *first* to *last*."""
        seq, line = self._seq, self._line
        if not first <= seq <= last:
            return Block((), {}, {})
        rows = [line.event] if line.event else []
        erased = zip(Group, line.commitments, strict=True) if line.commitments else ()
        # The event that tells of an erasure is a later one, and a proof does not say which.
        erasures = [Erasure(group, made, by_seq=seq + 1) for group, made in erased if group in self._erased]
        return Block(rows, {seq: proven_leaf(seq, line, self._proof.hashes, self._checkpoint)}, {seq: erasures})

    def count(self, last: int) -> None:  # noqa: ARG002 - there is nothing to be counted
        """Return None."""
        return

    def tile(self, level: int, number: int) -> bytes | None:  # noqa: ARG002 - it has none
        """Return None."""
        return None


def _parsed(data: bytes) -> _Given:
    try:
        given = msgspec.json.decode(data, type=_Given)
        given.texts()
    except (msgspec.MsgspecError, ProofError, UnicodeError, RecursionError) as error:
        raise ProofError(f"the file is no event with its proof, as /api/logins/<id>/proof has it: {error}") from None
    return given
