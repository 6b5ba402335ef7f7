"""Events that come with a proof each, without the tree: those of a bundle of a part, or a single one."""

from collections.abc import Sequence
from typing import NamedTuple

from audit_service.errors import ProofError
from audit_service.proofs.checkpoint import Checkpoint
from audit_service.proofs.merkle import HASH_SIZE, inclusion_ranges, leaf_hash, split_proof, verify_inclusion
from audit_service.verifying.bundle_lines import Line
from audit_service.verifying.source import UNKNOWN, Leaf, Part


class Span(NamedTuple):
    """The events of a tree that there are said to be, and the proofs of the first and the last; None if it has none."""

    first: int
    last: int
    proofs: tuple[Sequence[bytes] | None, Sequence[bytes] | None]


def part_of(span: Span, size: int) -> Part:
    """Return the part of a tree of *size* that *span* is. A proof that is not right gives hashes that are not."""
    (left, _), (_, right) = (
        _split(seq - 1, size, proof) for seq, proof in zip((span.first, span.last), span.proofs, strict=True)
    )
    return Part(span.first, span.last, left, right)


def _split(index: int, size: int, proof: Sequence[bytes] | None) -> tuple[list[bytes], list[bytes]]:
    count = len(inclusion_ranges(index, size))
    usable = proof is not None and len(proof) == count and all(len(each) == HASH_SIZE for each in proof)
    return split_proof(index, size, proof if proof is not None and usable else [UNKNOWN] * count)


def proven_leaf(seq: int, line: Line, proof: Sequence[bytes] | None, checkpoint: Checkpoint) -> Leaf:
    """Return the leaf of a line, whose hash is not known unless *proof* proves that its entry is that of *seq*."""
    if proof is None:
        return Leaf(UNKNOWN, line.opening, line.commitments)
    hash_ = leaf_hash(line.entry)
    try:
        verify_inclusion(seq - 1, checkpoint.size, hash_, proof, checkpoint.root)
    except ProofError:
        return Leaf(UNKNOWN, line.opening)  # nor are the commitments known, which could say what of it was changed
    return Leaf(hash_, line.opening, line.commitments)
