"""Merkle trees of SHA-256 hashes, and the proofs about them (RFC 6962, section 2.1; RFC 9162, section 2.1)."""

import hashlib
from collections.abc import Iterable, Sequence

from audit_service.errors import ProofError

HASH_SIZE = 32  # bytes
EMPTY_ROOT = hashlib.sha256().digest()

Range = tuple[int, int]  # leaves, from the first to before the second; their hash is the root over them alone


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of the leaf that holds *entry*."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two others."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root over leaves with these hashes, in their order."""
    level = list(leaf_hashes)
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [hashlib.sha256(b"\x01" + left + right).digest() for left, right in pairs]
        level = [*above, level[-1]] if len(level) % 2 else above  # one that is left over goes up as it is
    return level[0] if level else EMPTY_ROOT


def edge_root(subtrees: Sequence[bytes]) -> bytes:
    """Return the root of the tree whose full subtrees have these roots, the largest first."""
    if not subtrees:
        return EMPTY_ROOT
    *others, found = subtrees
    for each in reversed(others):
        found = node_hash(each, found)
    return found


def inclusion_proof(index: int, leaf_hashes: Sequence[bytes]) -> list[bytes]:
    """Return the proof that the leaf at *index*, from 0, is in the tree over these leaves, its sibling first."""
    return [root(leaf_hashes[first:end]) for first, end in inclusion_ranges(index, len(leaf_hashes))]


def consistency_proof(size1: int, leaf_hashes: Sequence[bytes]) -> list[bytes]:
    """Return the proof that the tree over the first *size1* leaves is the beginning of the tree over all of these."""
    return [root(leaf_hashes[first:end]) for first, end in consistency_ranges(size1, len(leaf_hashes))]


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return the leaves whose hashes are the inclusion proof of the leaf at *index* in a tree of *size*."""
    if not 0 <= index < size:
        raise ProofError(f"there is no leaf {index} in a tree of {size}")
    found: list[Range] = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _largest_power_below(end - first)
        if index < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((first, middle))
            first = middle
    return found[::-1]


def consistency_ranges(size1: int, size2: int) -> list[Range]:
    """Return the leaves whose hashes are the proof that a tree of *size1* is the beginning of one of *size2*."""
    if not 0 < size1 <= size2:
        raise ProofError(f"a tree of {size1} cannot be the beginning of a tree of {size2}")
    found: list[Range] = []
    first, end, is_known = 0, size2, True  # known: its root is that of the smaller tree
    while end != size1:
        middle = first + _largest_power_below(end - first)
        if size1 <= middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((first, middle))
            first, is_known = middle, False
    if not is_known:
        found.append((first, end))
    return found[::-1]


def split_proof(index: int, size: int, proof: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Return what the inclusion proof of the leaf at *index* has of before it, and of after it.

    The first are the full subtrees of the leaves before it, the largest first; the second the roots of the rest, the
    nearest first. Nothing is checked but their number: raises ``ProofError``.
    """
    ranges = inclusion_ranges(index, size)
    if len(proof) != len(ranges):
        raise ProofError(f"the proof of leaf {index} in a tree of {size} has {len(ranges)} hashes, not {len(proof)}")
    left = [each for (first, _), each in zip(ranges, proof, strict=True) if first < index]
    right = [each for (first, _), each in zip(ranges, proof, strict=True) if first > index]
    return left[::-1], right


def grown_root(subtrees: Sequence[bytes], size1: int, right: Sequence[bytes], size2: int) -> bytes:
    """Return the root of the tree of *size2* whose first *size1* leaves have these full subtrees, the largest first.

    *right* is what the proof of the last of these leaves has of after it, the nearest first.
    """
    place, last = size1 - 1, size2 - 1
    *before, found = subtrees
    after = list(right[::-1])
    while place % 2:
        place, last = place >> 1, last >> 1
    while last:
        if place % 2 or place == last:
            found = node_hash(before.pop(), found)
            while place % 2 == 0 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, after.pop())
        place, last = place >> 1, last >> 1
    return found


def verify_inclusion(index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf is at *index*, from 0, in the tree of *size* with this root (RFC 9162, section 2.1.3.2).

    Raises ``ProofError``, which tells both roots.
    """
    _check_hashes(leaf_hash, root, *proof)
    if not 0 <= index < size:
        raise ProofError(f"there is no leaf {index} in a tree of {size}")
    place, last, found = index, size - 1, leaf_hash
    for each in proof:
        if last == 0:
            raise ProofError(f"the proof of leaf {index} in a tree of {size} has too many hashes: {len(proof)}")
        if place % 2 or place == last:
            found = node_hash(each, found)
            while place % 2 == 0 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, each)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofError(f"the proof of leaf {index} in a tree of {size} has too few hashes: {len(proof)}")
    _compare(f"leaf {index} of {size}", found, root)


def verify_consistency(size1: int, size2: int, proof: Sequence[bytes], root1: bytes, root2: bytes) -> None:
    """Check that the tree of *size1* is the beginning of the tree of *size2* (RFC 9162, section 2.1.4.2).

    An empty tree is the beginning of each; there is nothing to prove, and *size1* of 0 is refused. Raises
    ``ProofError``, which tells both roots.
    """
    _check_hashes(root1, root2, *proof)
    if not 0 < size1 <= size2:
        raise ProofError(f"a tree of {size1} cannot be the beginning of a tree of {size2}")
    if size1 == size2:
        if proof:
            raise ProofError(f"two trees of {size1} need no proof, and here are {len(proof)} hashes")
        _compare(f"the tree of {size1}", root1, root2)
        return
    if not proof:
        raise ProofError(f"the proof from a tree of {size1} to one of {size2} is empty")
    found1, found2 = _both_roots(size1, size2, proof if size1 & (size1 - 1) else [root1, *proof])
    _compare(f"the tree of {size1}", found1, root1)
    _compare(f"the tree of {size2}", found2, root2)


def _both_roots(size1: int, size2: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the roots that a consistency proof gives, which begins with the root of a full subtree."""
    place, last = size1 - 1, size2 - 1
    while place % 2:
        place, last = place >> 1, last >> 1
    found1 = found2 = path[0]
    for each in path[1:]:
        if last == 0:
            raise ProofError(f"the proof from a tree of {size1} to one of {size2} has too many hashes")
        if place % 2 or place == last:
            found1, found2 = node_hash(each, found1), node_hash(each, found2)
            while place % 2 == 0 and place:
                place, last = place >> 1, last >> 1
        else:
            found2 = node_hash(found2, each)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofError(f"the proof from a tree of {size1} to one of {size2} has too few hashes")
    return found1, found2


class Frontier:
    """The right edge of a tree that grows: the roots of its full subtrees, one a bit of its size, the largest first."""

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        """Begin with a tree of *size* whose subtrees have these *hashes*."""
        if len(hashes) != size.bit_count():
            raise ProofError(f"the edge of a tree of {size} has {size.bit_count()} hashes, not {len(hashes)}")
        self.size, self.hashes = size, list(hashes)

    def append(self, subtree: bytes, bits: int = 0) -> None:
        """Add the leaf with this hash on the right, or the full subtree of ``2^bits`` leaves with this root.

        The size has to be a multiple of its leaves.
        """
        found, size = subtree, self.size >> bits
        while size & 1:
            found, size = node_hash(self.hashes.pop(), found), size >> 1
        self.hashes.append(found)
        self.size += 1 << bits

    def root(self) -> bytes:
        """Return the root of the tree as it is now."""
        return edge_root(self.hashes)


def _largest_power_below(size: int) -> int:
    """Return the largest power of two that is less than *size*, from 2 on."""
    return int(1 << (size - 1).bit_length() - 1)


def _check_hashes(*hashes: bytes) -> None:
    for each in hashes:
        if len(each) != HASH_SIZE:
            raise ProofError(f"a hash has {HASH_SIZE} bytes, not {len(each)}")


def _compare(what: str, found: bytes, expected: bytes) -> None:
    if found != expected:
        raise ProofError(f"{what}: the proof gives the root {found.hex()}, not {expected.hex()}")
