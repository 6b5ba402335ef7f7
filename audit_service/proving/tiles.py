"""The tree in the database: hashes of leaves one a row, those of the levels above in tiles of 256 (C2SP tlog-tiles).

A hash of level L covers 256^L leaves. Only whole subtrees have one, so a tile never changes but by growing.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    Connection,
    bindparam,
    delete,
    false,
    insert,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
)

from audit_service.errors import ProofError
from audit_service.proofs.merkle import (
    HASH_SIZE,
    Frontier,
    Range,
    consistency_ranges,
    edge_root,
    inclusion_ranges,
    root,
)
from audit_service.proofs.tile_path import BITS, WIDTH, Tile
from audit_service.storage.log_models import TrailLeaf, TrailTile


class Edge:
    """The right edge of the tree: of each level the hashes of the tile that is not full yet."""

    def __init__(self, size: int = 0, levels: Sequence[Sequence[bytes]] = ()) -> None:
        """Begin with a tree of *size*, whose *levels* have these hashes, that of the leaves first."""
        self.size = size
        self._levels = [list(level) for level in levels] or [[]]
        self.grown: dict[tuple[int, int], bytes] = {}  # tiles above the leaves that have changed: level and number

    def append(self, leaf_hashes: Iterable[bytes]) -> None:
        """Add leaves with these hashes on the right."""
        leaves = self._levels[0]
        for each in leaf_hashes:
            leaves.append(each)
            self.size += 1
            if len(leaves) == WIDTH:
                self._carry()

    def _carry(self) -> None:
        """Put the root of each full tile into the level above it."""
        for level in range(len(self._levels)):
            if len(self._levels[level]) < WIDTH:
                return
            if level + 1 == len(self._levels):
                self._levels.append([])
            above = self._levels[level + 1]
            above.append(root(self._levels[level]))
            self._levels[level].clear()
            number = (self.size - 1) >> BITS * (level + 2)
            self.grown[level + 1, number] = b"".join(above)

    def root(self) -> bytes:
        """Return the root of the whole tree."""
        subtrees: list[bytes] = []
        for level in reversed(self._levels):
            edge = Frontier()
            for each in level:
                edge.append(each)
            subtrees += edge.hashes
        return edge_root(subtrees)


class StoredTree:
    """The tree as it is stored, for proofs. What was read once is not read again."""

    def __init__(self, connection: Connection) -> None:
        """Read through *connection*."""
        self._connection = connection
        self._tiles: dict[tuple[int, int], list[bytes]] = {}
        self._roots: dict[Range, bytes] = {}  # proofs of neighbours have most of them in common

    def edge(self, size: int) -> Edge:
        """Return the right edge of the tree of *size*. Raises ``ProofError`` if a hash of it is missing."""
        levels = []
        level = 0
        while size >> BITS * level or level == 0:
            end = size >> BITS * level
            levels.append(self.hashes(level, end - end % WIDTH, end))
            level += 1
        return Edge(size, levels)

    def root(self, size: int) -> bytes:
        """Return the root of the tree of *size*. Raises ``ProofError`` if a hash of it is missing."""
        return self.edge(size).root()

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Return the proof that the leaf at *index*, from 0, is in the tree of *size*. Raises ``ProofError``."""
        return self._roots_of(inclusion_ranges(index, size))

    def consistency_proof(self, size1: int, size2: int) -> list[bytes]:
        """Return the proof that the tree of *size1* is the beginning of that of *size2*. Raises ``ProofError``."""
        return self._roots_of(consistency_ranges(size1, size2))

    def hashes(self, level: int, first: int, end: int) -> list[bytes]:
        """Return hashes of a level, from *first* to before *end*, all of one tile. Raises ``ProofError``."""
        key = level, first >> BITS
        self._read([key])
        found = self._tiles[key][first % WIDTH : first % WIDTH + end - first]
        if len(found) != end - first or not all(found):
            raise ProofError(f"the tree lacks hashes {first} to {end - 1} of level {level}")
        return found

    def tile(self, tile: Tile) -> bytes:
        """Return the hashes of a *tile*, one after the other. Raises ``ProofError`` if one is missing."""
        return b"".join(self.hashes(tile.level, tile.number * WIDTH, tile.end))

    def _read(self, keys: Iterable[tuple[int, int]]) -> None:
        """Read those tiles of these levels and numbers that were not read yet, by one query."""
        wanted = set(keys) - self._tiles.keys()
        if not wanted:
            return
        leaves = [number * WIDTH + 1 for level, number in wanted if level == 0]
        given = {f"first{place}": first for place, first in enumerate(leaves)}
        upper = [key for key in wanted if key[0]]
        rows = self._connection.execute(_tiles_query(len(leaves)), {**given, "upper": upper}).all()
        found: dict[tuple[int, int], bytes] = {(level, number): hashes for level, number, hashes in rows}
        for level, number in upper:
            data = found.get((level, number), b"")
            self._tiles[level, number] = [data[place : place + HASH_SIZE] for place in range(0, len(data), HASH_SIZE)]
        for first in leaves:
            self._tiles[0, first >> BITS] = [found.get((0, seq), b"") for seq in range(first, first + WIDTH)]

    def _roots_of(self, spans: Sequence[Range]) -> list[bytes]:
        """Return the root over each range, which begins at a multiple of the power of two that covers it."""
        subtrees = {span: list(_subtrees(span)) for span in spans if span not in self._roots}
        self._read((level, first >> BITS) for parts in subtrees.values() for level, first, _ in parts)
        for span, parts in subtrees.items():
            self._roots[span] = edge_root([root(self.hashes(*each)) for each in parts])
        return [self._roots[span] for span in spans]


@cache
def _tiles_query(leaves: int) -> CompoundSelect[Any]:
    """Return the query of so many tiles of leaves, from ``first0``, ``first1`` ... on, and of the tiles ``upper``."""
    firsts = [bindparam(f"first{place}", type_=BigInteger) for place in range(leaves)]
    of_leaves = or_(false(), *(TrailLeaf.seq.between(first, first + (WIDTH - 1)) for first in firsts))
    of_upper = tuple_(TrailTile.level, TrailTile.n).in_(bindparam("upper", expanding=True))
    return union_all(
        select(literal_column("0"), TrailLeaf.seq, TrailLeaf.hash).where(of_leaves),
        select(TrailTile.level, TrailTile.n, TrailTile.hashes).where(of_upper),
    )


def _subtrees(span: Range) -> Iterator[tuple[int, int, int]]:
    """Yield the whole subtrees that a range consists of, the largest first: hashes of a level, from one to another."""
    first, end = span
    while first < end:
        bits = (end - first).bit_length() - 1
        level = bits // BITS
        step = BITS * level
        yield level, first >> step, (first + (1 << bits)) >> step
        first += 1 << bits


def store_tiles(connection: Connection, grown: dict[tuple[int, int], bytes]) -> None:
    """Store tiles above the leaves, in the place of those that were shorter."""
    for (level, number), hashes in grown.items():
        connection.execute(delete(TrailTile).where(TrailTile.level == level, TrailTile.n == number))
        connection.execute(insert(TrailTile).values(level=level, n=number, hashes=hashes))
