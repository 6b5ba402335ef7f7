"""Merkle trees and proofs, against vectors of another implementation and against the definition."""

import json
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_service.errors import ProofError
from audit_service.proofs.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    grown_root,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    split_proof,
    verify_consistency,
    verify_inclusion,
)

VECTORS = Path(__file__).parent / "vectors"  # of transparency-dev/merkle, Apache-2.0
INCLUSION = sorted((VECTORS / "inclusion").rglob("*.json"))
SIZES = [*range(1, 34), 63, 64, 65, 100]


def definition(hashes: Sequence[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, word for word."""
    if not hashes:
        return EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return node_hash(definition(hashes[:k]), definition(hashes[k:]))


def leaves(size: int) -> list[bytes]:
    return [leaf_hash(b"leaf %d" % place) for place in range(size)]


def test_there_are_vectors() -> None:
    assert len(INCLUSION) == 98


@pytest.mark.parametrize("path", INCLUSION, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_foreign_inclusion_proofs(path: Path) -> None:
    vector: dict[str, Any] = json.loads(path.read_text())
    proof = [b64decode(each) for each in vector["proof"] or []]
    leaf, expected = (b64decode(vector[name]) for name in ("leafHash", "root"))
    if vector["wantErr"]:
        with pytest.raises(ProofError):
            verify_inclusion(vector["leafIdx"], vector["treeSize"], leaf, proof, expected)
    else:
        verify_inclusion(vector["leafIdx"], vector["treeSize"], leaf, proof, expected)


@pytest.mark.parametrize("size", [0, *SIZES])
def test_root(size: int) -> None:
    assert root(leaves(size)) == definition(leaves(size))


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_has_a_proof_that_holds_nowhere_else(size: int) -> None:
    all_leaves = leaves(size)
    for index in range(size):
        proof = inclusion_proof(index, all_leaves)
        verify_inclusion(index, size, all_leaves[index], proof, root(all_leaves))
        for other in {index - 1, index + 1, size} - {index}:
            with pytest.raises(ProofError):
                verify_inclusion(other, size, all_leaves[index], proof, root(all_leaves))


@pytest.mark.parametrize("size", SIZES)
def test_every_beginning_has_a_proof(size: int) -> None:
    all_leaves = leaves(size)
    for begun in range(1, size + 1):
        proof = consistency_proof(begun, all_leaves)
        roots = root(all_leaves[:begun]), root(all_leaves)
        verify_consistency(begun, size, proof, *roots)
        if begun < size:
            with pytest.raises(ProofError, match=roots[0].hex()):
                verify_consistency(begun, size, proof, roots[1], roots[0])


@given(st.data())
def test_a_changed_proof_does_not_hold(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 70))
    begun = data.draw(st.integers(1, size - 1))
    all_leaves = leaves(size)
    proof = consistency_proof(begun, all_leaves)
    place, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    proof[place] = (int.from_bytes(proof[place]) ^ 1 << bit).to_bytes(32)
    with pytest.raises(ProofError):
        verify_consistency(begun, size, proof, root(all_leaves[:begun]), root(all_leaves))


def test_what_cannot_be_proven() -> None:
    some = leaves(4)
    for refused in (
        lambda: verify_consistency(0, 4, [], EMPTY_ROOT, root(some)),
        lambda: verify_consistency(5, 4, [], root(some), root(some)),
        lambda: verify_consistency(4, 4, [some[0]], root(some), root(some)),
        lambda: verify_consistency(2, 4, [], root(some[:2]), root(some)),
        lambda: verify_inclusion(-1, 4, some[0], [], root(some)),
        lambda: verify_inclusion(0, 1, some[0][:31], [], some[0]),
        lambda: inclusion_proof(4, some),
        lambda: consistency_proof(5, some),
        lambda: Frontier(3, some[:1]),
    ):
        with pytest.raises(ProofError):
            refused()
    verify_consistency(4, 4, [], root(some), root(some))


def test_a_frontier_goes_on() -> None:
    all_leaves = leaves(37)
    first = Frontier()
    for each in all_leaves[:21]:
        first.append(each)
    second = Frontier(first.size, first.hashes)
    for each in all_leaves[21:]:
        second.append(each)
    assert second.root() == root(all_leaves)
    assert first.root() == root(all_leaves[:21])


@given(st.data())
def test_a_part_of_a_tree_with_what_its_ends_prove_has_the_root(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 80))
    first = data.draw(st.integers(0, size - 1))
    last = data.draw(st.integers(first, size - 1))
    hashes = leaves(size)
    left, _ = split_proof(first, size, inclusion_proof(first, hashes))
    _, right = split_proof(last, size, inclusion_proof(last, hashes))
    tree = Frontier(first, left)
    for each in hashes[first : last + 1]:
        tree.append(each)
    assert grown_root(tree.hashes, last + 1, right, size) == definition(hashes)
    with pytest.raises(ProofError, match="hashes, not"):
        split_proof(first, size, [*inclusion_proof(first, hashes), bytes(32)])
