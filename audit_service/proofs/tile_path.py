"""Addresses of tiles (C2SP tlog-tiles): a level, and a number in groups of three digits, all but the last with an x."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from audit_service.errors import ProofError

BITS = 8
WIDTH = 1 << BITS  # hashes of a full tile

_NUMBER = r"(?P<number>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
ENTRIES_PATH = f"^{_NUMBER}$"
TILE_PATH = rf"^(?P<level>[1-5]?[0-9]|6[0-3])/{_NUMBER}$"


class Tile(NamedTuple):
    """Hashes from ``256 * number`` on of a level, ``width`` of them: fewer than 256 at the right edge of the tree."""

    level: int
    number: int
    width: int = WIDTH

    @property
    def end(self) -> int:
        """The number of the hash after its last one, in its level."""
        return self.number * WIDTH + self.width

    def is_within(self, size: int) -> bool:
        """Tell whether a tree of *size* leaves has all of it."""
        return self.end <= size >> BITS * self.level

    def path(self) -> str:
        """Return the part of its address after ``tile/``."""
        return f"{self.level}/{number_path(self.number, self.width)}"


def tiles_of(size: int) -> Iterator[Tile]:
    """Yield all tiles of a tree of *size* leaves, those of the leaves first."""
    level = 0
    while count := size >> BITS * level:
        for number in range(-(-count // WIDTH)):
            yield Tile(level, number, min(WIDTH, count - number * WIDTH))
        level += 1


def parse_tile(path: str) -> Tile:
    """Return the tile whose address after ``tile/`` is *path*. Raises ``ProofError``."""
    return _parsed(TILE_PATH, path)


def parse_entries(path: str) -> Tile:
    """Return the leaves whose entries have the address *path* after ``tile/entries/``. Raises ``ProofError``."""
    return _parsed(ENTRIES_PATH, path)


def number_path(number: int, width: int = WIDTH) -> str:
    """Return the address of a tile, or of its entries, within its level."""
    digits = f"{number:03}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[place : place + 3] for place in range(0, len(digits), 3)]
    partial = f".p/{width}" if width < WIDTH else ""
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]]) + partial


def _parsed(pattern: str, path: str) -> Tile:
    if found := re.fullmatch(pattern, path):
        given = found.groupdict()
        number = int(given["number"].replace("x", "").replace("/", ""))
        tile = Tile(int(given.get("level") or 0), number, int(given["width"] or WIDTH))
        if path in (tile.path(), number_path(tile.number, tile.width)):  # not '.p/256', and no group of zeros before
            return tile
    raise ProofError(f"{path[:80]!r} is no address of a tile")
