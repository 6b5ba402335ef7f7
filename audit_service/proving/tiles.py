"""The tree in the database: hashes of leaves one a row, those of the levels above in tiles of 256 (C2SP tlog-tiles).

A hash of level L covers 256^L leaves. Only whole subtrees have one, so a tile never changes but by growing.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, insert, select

from audit_service.errors import ProofError
from audit_service.proofs.merkle import (
    HASH_SIZE,
    Frontier,
    Range,
    consistency_ranges,
    inclusion_ranges,
    node_hash,
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
        found: bytes | None = None
        for level in self._levels:
            edge = Frontier()
            for each in level:
                edge.append(each)
            for each in reversed(edge.hashes):
                found = each if found is None else node_hash(each, found)
        return root(()) if found is None else found


class StoredTree:
    """The tree as it is stored, for proofs. What was read once is not read again."""

    def __init__(self, connection: Connection) -> None:
        """Read through *connection*."""
        self._connection = connection
        self._tiles: dict[tuple[int, int], Sequence[bytes]] = {}
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
        return [self._range_root(each) for each in inclusion_ranges(index, size)]

    def consistency_proof(self, size1: int, size2: int) -> list[bytes]:
        """Return the proof that the tree of *size1* is the beginning of that of *size2*. Raises ``ProofError``."""
        return [self._range_root(each) for each in consistency_ranges(size1, size2)]

    def hashes(self, level: int, first: int, end: int) -> list[bytes]:
        """Return hashes of a level, from *first* to before *end*, all of one tile. Raises ``ProofError``."""
        number = first >> BITS
        tile = self._tile(level, number)
        found = tile[first % WIDTH : first % WIDTH + end - first]
        if len(found) != end - first:
            raise ProofError(f"the tree lacks hashes {first} to {end - 1} of level {level}")
        return list(found)

    def tile(self, tile: Tile) -> bytes:
        """Return the hashes of a *tile*, one after the other. Raises ``ProofError`` if one is missing."""
        return b"".join(self.hashes(tile.level, tile.number * WIDTH, tile.end))

    def _tile(self, level: int, number: int) -> Sequence[bytes]:
        key = level, number
        if key not in self._tiles:
            self._tiles[key] = self._leaves(number) if level == 0 else self._upper(level, number)
        return self._tiles[key]

    def _leaves(self, number: int) -> Sequence[bytes]:
        first = number * WIDTH + 1
        query = select(TrailLeaf.seq, TrailLeaf.hash).where(TrailLeaf.seq.between(first, first + WIDTH - 1))
        rows = self._connection.execute(query.order_by(TrailLeaf.seq)).all()
        return [row.hash for place, row in enumerate(rows) if row.seq == first + place]  # up to the first gap

    def _upper(self, level: int, number: int) -> Sequence[bytes]:
        query = select(TrailTile.hashes).where(TrailTile.level == level, TrailTile.n == number)
        data = self._connection.execute(query).scalar() or b""
        return [data[place : place + HASH_SIZE] for place in range(0, len(data), HASH_SIZE)]

    def _range_root(self, span: Range) -> bytes:
        """Return the root over a range whose begin is a multiple of the power of two that covers it."""
        if span in self._roots:
            return self._roots[span]
        first, end = span
        roots = []
        while first < end:
            bits = (end - first).bit_length() - 1  # the largest whole subtree that is left
            level = bits // BITS
            step = BITS * level
            roots.append(root(self.hashes(level, first >> step, (first + (1 << bits)) >> step)))
            first += 1 << bits
        *others, found = roots
        for each in reversed(others):
            found = node_hash(each, found)
        self._roots[span] = found
        return found


def store_tiles(connection: Connection, grown: dict[tuple[int, int], bytes]) -> None:
    """Store tiles above the leaves, in the place of those that were shorter."""
    for (level, number), hashes in grown.items():
        connection.execute(delete(TrailTile).where(TrailTile.level == level, TrailTile.n == number))
        connection.execute(insert(TrailTile).values(level=level, n=number, hashes=hashes))
