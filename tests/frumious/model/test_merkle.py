"""The Merkle tree of a change feed, against an implementation from the text of RFC 9162."""

from __future__ import annotations

import pytest

from frumious.model import merkle
from frumious.model.merkle import Range, Tile, Tree
from tests import rfc9162

ENTRIES = [f"entry {number}".encode() for number in range(1100)]
LEAVES = [merkle.leaf_hash(entry) for entry in ENTRIES]
SIZES = [*range(20), 31, 32, 33, 255, 256, 257, 511, 512, 513, 700, 1024, 1100]


def all_tiles(size: int) -> dict[tuple[int, int], list[bytes]]:
    """Return every tile of the tree with a size, by the definition in C2SP's tlog-tiles."""
    tiles: dict[tuple[int, int], list[bytes]] = {}
    for level in range(3):
        span = 256**level
        for index in range(size // span):
            entries = ENTRIES[index * span : (index + 1) * span]
            tiles.setdefault((level, index // 256), []).append(rfc9162.root(entries))
    return tiles


@pytest.mark.parametrize("size", SIZES)
def test_the_root_is_that_of_the_rfc(size: int) -> None:
    assert Tree().append(LEAVES[:size]).root == rfc9162.root(ENTRIES[:size])


@pytest.mark.parametrize("size", SIZES)
def test_a_tree_grows_from_its_right_edge(size: int) -> None:
    grown = Tree()
    for begin in range(0, size, 37):
        grown = grown.append(LEAVES[begin : min(begin + 37, size)])

    assert grown == Tree().append(LEAVES[:size])
    assert grown.root == rfc9162.root(ENTRIES[:size])


@pytest.mark.parametrize("size", SIZES)
def test_the_edge_tiles_hold_the_tree(size: int) -> None:
    tiles = all_tiles(size)
    edge = merkle.edge_tiles(size)

    for tile in edge:
        assert tile.width == len(tiles[tile.level, tile.number])
    hashes = {tile.level: tiles[tile.level, tile.number] for tile in edge}
    assert merkle.tree_of(size, hashes) == Tree().append(LEAVES[:size])


def test_the_edge_of_the_specification_s_example() -> None:
    assert merkle.edge_tiles(70_000) == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert merkle.edge_tiles(256) == [Tile(1, 0, 1)]


@pytest.mark.parametrize("second", SIZES[1:])
def test_a_consistency_proof_from_tiles_is_valid(second: int) -> None:
    tiles = all_tiles(second)
    for first in (size for size in SIZES if 0 < size <= second):
        ranges = merkle.consistency_ranges(first, second)
        needed = merkle.tiles_of(ranges, second)
        assert all(tile.width == len(tiles[tile.level, tile.number]) for tile in needed)
        read = {(tile.level, tile.number): tiles[tile.level, tile.number] for tile in needed}
        proof = [merkle.range_hash(each, read) for each in ranges]

        roots = rfc9162.root(ENTRIES[:first]), rfc9162.root(ENTRIES[:second])
        assert rfc9162.verify_consistency(first, second, *roots, proof)
        wrong = rfc9162.root([*ENTRIES[: first - 1], b"another"])
        assert not rfc9162.verify_consistency(first, second, wrong, roots[1], proof)


@pytest.mark.parametrize("leaves", [Range(0, 0), Range(3, 11), Range(256, 1100), Range(0, 1024)])
def test_a_range_is_made_of_complete_subtrees(leaves: Range) -> None:
    covered: list[int] = []
    for level, index in leaves.nodes():
        covered += range(index << level, (index + 1) << level)

    assert covered == [*range(leaves.begin, leaves.end)]


@pytest.mark.parametrize(
    ("index", "width", "path"),
    [
        (0, 256, "000"),
        (0, 1, "000.p/1"),
        (999, 256, "999"),
        (1000, 256, "x001/000"),
        (1234067, 256, "x001/x234/067"),
        (1234067, 17, "x001/x234/067.p/17"),
    ],
)
def test_paths_are_those_of_the_specification(index: int, width: int, path: str) -> None:
    assert merkle.tile_path(index, width) == path


def test_hashes_of_another_size_are_no_tree() -> None:
    with pytest.raises(ValueError, match="no tree of 3 leaves"):
        Tree(3, (LEAVES[0],))
