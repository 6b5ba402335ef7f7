"""Where a history that is verified comes from: a database, or a bundle. Nothing that a source says is believed.

A source is opened once in each process that verifies, and is asked for blocks of events one after the other, in
rising order. It is read as strictly as the canonical form is, and hides nothing: what is there twice, in a wrong type
or in a wrong place is handed on as it is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from audit_service.errors import ProofError
from audit_service.proofs.merkle import HASH_SIZE
from audit_service.proving.rows import Row
from audit_service.verifying.findings import Finding

UNKNOWN = bytes(HASH_SIZE)  # in the place of the hash of a leaf of which nothing is stored, or which is not proven


class LogFormError(ProofError):
    """What a source says of itself is in no form that this program writes."""


class Leaf(NamedTuple):
    """What is stored of a leaf.

    ``hash``: as the tree has it. ``opening``: the 16 bytes of who, then those of where, zeros for a group that was
    erased; None for an event that was declared missing. ``commitments``: to who and to where, where the source has the
    entry, too; with them it can be said what of an event was changed. Each may be of any length.
    """

    hash: bytes
    opening: bytes | None
    commitments: tuple[bytes, bytes] | None = None


class Erasure(NamedTuple):
    """A group of an event's fields that was erased; ``group`` may be any text, and ``commitment`` of any length."""

    group: str
    commitment: bytes
    by_seq: int


class Block(NamedTuple):
    """The events from one ``seq`` to another, all as they were at one moment.

    ``rows``: in the order of ``seq``; missing ones are not in it, and what has a ``seq`` twice is in it twice.
    ``leaves`` and ``erasures``: by ``seq``. ``findings``: what the source has in no right place.
    """

    rows: Sequence[Row]
    leaves: Mapping[int, Leaf]
    erasures: Mapping[int, Sequence[Erasure]]
    findings: Sequence[Finding] = ()


class Part(NamedTuple):
    """Events of a tree from ``first`` to ``last``, both included, and hashes that stand for the others.

    ``left``: the roots of the full subtrees before the first, the largest first, as many as ``first - 1`` has bits that
    are set. ``right``: the roots of what is after the last, the nearest first, as its inclusion proof has them.
    """

    first: int
    last: int
    left: Sequence[bytes] = ()
    right: Sequence[bytes] = ()


class Head(NamedTuple):
    """What a source says of itself at one moment.

    ``events``: the size of the trail. ``size`` and ``root``: of the tree, which may be behind. ``floor``: events up to
    it were pruned. ``checkpoints``: of this log, sizes and notes, to be read once; ``others``: how many there are of
    earlier logs. ``cosignatures``: lines of notes, by the size of the checkpoint. ``findings``: what can be said
    without looking at every event: unknown columns, a ``seq`` out of range. ``part``: what there is of the tree,
    unless it is all.
    """

    origin: str
    log_id: str
    events: int
    size: int
    root: bytes
    floor: int
    declared: int
    checkpoints: Iterable[tuple[int, bytes]]
    others: int
    cosignatures: Mapping[int, Sequence[str]]
    findings: Sequence[Finding]
    part: Part | None = None


class Source(Protocol):
    """An open source, for one thread. One that is a part of a tree has no tiles."""

    has_tiles: bool

    def head(self) -> Head | None:
        """Return what the source says of itself; None if it has no log. Raises ``LogFormError``."""

    def block(self, first: int, last: int) -> Block:
        """Return the events with ``seq`` from *first* to *last*, both included; a later call asks for later ones."""

    def tile(self, level: int, number: int) -> bytes | None:
        """Return the stored tile of a *level* from 1 on; None if there is none. It may be of any length."""

    def count(self, last: int) -> int | None:
        """Return how many rows there are up to the event *last*, not only those that are found by their ``seq``.

        None if there is no other way to find one.
        """


class Opener(Protocol):
    """Something that opens a source, in this or in another process: it can be pickled."""

    def __call__(self) -> AbstractContextManager[Source]:
        """Open the source."""


def blocks(first: int, last: int, length: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last ``seq`` of each block; a block begins after a multiple of *length*."""
    while first <= last:
        end = min(last, first - (first - 1) % length + length - 1)
        yield first, end
        first = end + 1
