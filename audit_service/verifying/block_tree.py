"""The tree over the leaves of a block, and whether the tiles above them are stored as it has them."""

from collections.abc import Mapping, Sequence

from audit_service.proofs.merkle import HASH_SIZE, Frontier, root
from audit_service.proofs.tile_path import BITS, WIDTH
from audit_service.verifying.findings import Code, Finding
from audit_service.verifying.source import UNKNOWN, Source

LENGTH = WIDTH * WIDTH  # events of a block: the leaves below one hash of level 2


def lowest_roots(first: int, leaves: Sequence[bytes]) -> dict[int, bytes]:
    """Return the roots over 256 leaves each that a tile has above *leaves*, by the place of the first of them.

    *leaves* are those of a block, from the event *first* on.
    """
    skipped = (1 - first) % WIDTH  # leaves below a hash that did not begin here
    return {place: root(leaves[place : place + WIDTH]) for place in range(skipped, len(leaves) - WIDTH + 1, WIDTH)}


def edges_at(
    sizes: Sequence[int], first: int, left: Sequence[bytes], leaves: Sequence[bytes], roots: Mapping[int, bytes]
) -> dict[int, Sequence[bytes]]:
    """Return the roots of the full subtrees of a block, the largest first, where the whole tree has each of *sizes*.

    These rise, and end in the block. *leaves* are its leaves from the event *first* on, *roots* their
    ``lowest_roots``, *left* the roots of the full subtrees before it within the block.
    """
    tree = Frontier((first - 1) % LENGTH, left)
    edges: dict[int, Sequence[bytes]] = {}
    place = 0
    for size in sizes:
        end = size - first + 1
        while place < end:
            if tree.size % WIDTH == 0 and end - place >= WIDTH:
                tree.append(roots[place], BITS)
                place += WIDTH
            else:
                tree.append(leaves[place])
                place += 1
        edges[size] = tuple(tree.hashes)
    return edges


def compare_lowest_tile(
    source: Source, first: int, made: Sequence[bytes], roots: Sequence[Mapping[int, bytes]]
) -> list[Finding]:
    """Return what is wrong with the tile above the leaves of a block, from the event *first* on.

    *made* are the leaves that it has by its rows, *roots* their ``lowest_roots``, and those of the stored leaves if
    they differ; the tile may be of either.
    """
    if not roots[0] or not source.has_tiles:
        return []
    expected = [[] if UNKNOWN in made[place : place + WIDTH] else [each[place] for each in roots] for place in roots[0]]
    begin = (first - 1 + next(iter(roots[0]))) // WIDTH
    return compare_tile(1, begin, expected, source.tile(1, begin // WIDTH))


def compare_tile(level: int, first: int, roots: Sequence[Sequence[bytes]], tile: bytes | None) -> list[Finding]:
    """Return what is wrong with a *tile*; each of its hashes, from *first* of the level on, has to be one of *roots*.

    Where these are none it may be any.
    """
    number, place = divmod(first, WIDTH)
    span = WIDTH**level
    if tile is None:
        words = f"the tile {number} of level {level} of the tree is missing"
        return [Finding(Code.TILE_MISSING, words, first * span + 1, (first + len(roots)) * span, "trail_tiles")]
    found = [tile[begin : begin + HASH_SIZE] for begin in range(place * HASH_SIZE, len(tile), HASH_SIZE)]
    found += [b""] * (len(roots) - len(found))
    return [
        Finding(
            Code.TILE_CHANGED,
            f"the hash {place + each} of the tile {number} of level {level} is not that of the leaves below it",
            (first + each) * span + 1,
            (first + each + 1) * span,
            "trail_tiles",
        )
        for each, expected in enumerate(roots)
        if expected and found[each] not in expected
    ]
