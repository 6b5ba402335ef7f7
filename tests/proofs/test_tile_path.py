"""Addresses of tiles, as C2SP tlog-tiles has them."""

import pytest

from audit_service.errors import ProofError
from audit_service.proofs.tile_path import Tile, parse_entries, parse_tile, tiles_of


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "0/000"),
        (Tile(0, 273, 112), "0/273.p/112"),
        (Tile(1, 1, 17), "1/001.p/17"),
        (Tile(63, 1234067), "63/x001/x234/067"),
        (Tile(5, 1000, 255), "5/x001/000.p/255"),
    ],
)
def test_addresses(tile: Tile, path: str) -> None:
    assert tile.path() == path
    assert parse_tile(path) == tile
    assert parse_entries(path.split("/", 1)[1]) == Tile(0, tile.number, tile.width)


@pytest.mark.parametrize(
    "path",
    [
        "", "0", "0/", "000", "0/0", "0/0000", "00/000", "64/000", "-1/000", "0/000/", "/0/000", "0/x000/000",
        "0/x000/x001/000", "0/001/000", "0/x001", "0/000.p/0", "0/000.p/256", "0/000.p/01", "0/000.p/", "0/000.p",
               "0/\u0660\u0660\u0660",
        "0/000\n", "0/000?", "0/000.p/1/", "entries/000", "0/x001/x001/x001/x001/x001/x001/x001/001",
    ],
)  # fmt: skip
def test_what_is_no_address(path: str) -> None:
    with pytest.raises(ProofError, match="no address"):
        parse_tile(path)
    with pytest.raises(ProofError, match="no address"):
        parse_entries(path.removeprefix("0/") if path.startswith("0/") else f"0/{path}")


def test_the_tiles_of_a_tree() -> None:
    """The example of tlog-tiles."""
    tiles = list(tiles_of(70_000))
    assert tiles[:273] == [Tile(0, number) for number in range(273)]
    assert tiles[273:] == [Tile(0, 273, 112), Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert all(tile.is_within(70_000) for tile in tiles)
    assert not any(tile.is_within(69_999) for tile in (Tile(0, 273, 112), Tile(0, 274, 1)))
    assert list(tiles_of(0)) == []
