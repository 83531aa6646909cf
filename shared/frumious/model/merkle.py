"""The Merkle tree of RFC 9162, 2.1, and its tiles as in C2SP's tlog-tiles. Pure.

A tree of which only the right edge is known (`Tree`) can grow, and has a root. Tiles hold the
hashes of every eighth level, 256 in each, from which readers of static objects compute the others.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

HASH_SIZE: Final = 32  # bytes
TILE_HEIGHT: Final = 8  # levels
TILE_WIDTH: Final = 1 << TILE_HEIGHT  # hashes of a full tile


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree(Value, frozen=True):
    """A tree by its right edge: the roots of its complete subtrees, the largest first.

    There is one for each bit of the size that is set.
    """

    size: int = 0  # leaves
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            msg = f"{len(self.hashes)} hashes are no tree of {self.size} leaves"
            raise ValueError(msg)

    def append(self, leaves: Iterable[bytes]) -> Tree:
        """Return the tree with more leaves, by their hashes."""
        size, hashes = self.size, [*self.hashes]
        for leaf in leaves:
            joined = leaf
            for _ in range((~size & (size + 1)).bit_length() - 1):  # subtrees of the same size
                joined = node_hash(hashes.pop(), joined)
            hashes.append(joined)
            size += 1
        return Tree(size, tuple(hashes))

    @property
    def root(self) -> bytes:
        """The root hash."""
        if not self.hashes:
            return hashlib.sha256(b"").digest()
        *rest, root = self.hashes
        for left in reversed(rest):
            root = node_hash(left, root)
        return root


class Tile(NamedTuple):
    """A tile: `width` hashes of the level `8 * level`, from `256 * number` on."""

    level: int
    number: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The path below the feed."""
        return f"tile/{self.level}/{tile_path(self.number, self.width)}"

    @property
    def full(self) -> Tile:
        """The tile that this one becomes."""
        return Tile(self.level, self.number)


def tile_path(number: int, width: int) -> str:
    """Return the path of the tile, or bundle of entries, with a number.

    Three digits for each segment, all but the last with an `x`; a partial one has its width.
    """
    text = f"{number:03}"
    text = text.zfill(-(-len(text) // 3) * 3)
    segments = [text[start : start + 3] for start in range(0, len(text), 3)]
    path = "/".join([*(f"x{segment}" for segment in segments[:-1]), segments[-1]])
    return path if width == TILE_WIDTH else f"{path}.p/{width}"


def edge_tiles(size: int) -> list[Tile]:
    """Return the tiles that hold the right edge of a tree, the lowest first."""
    tiles: list[Tile] = []
    level = 0
    while count := size >> (TILE_HEIGHT * level):
        if width := count % TILE_WIDTH:
            tiles.append(Tile(level, count // TILE_WIDTH, width))
        level += 1
    return tiles


def tree_of(size: int, tiles: Mapping[int, Sequence[bytes]]) -> Tree:
    """Return the tree of a size by the hashes of its edge tiles, by their levels."""
    hashes: list[bytes] = []
    for tile in reversed(edge_tiles(size)):
        hashes += Tree().append(tiles[tile.level][: tile.width]).hashes
    return Tree(size, tuple(hashes))


def split_hashes(tile: bytes) -> list[bytes]:
    """Return the hashes of a tile."""
    return [tile[start : start + HASH_SIZE] for start in range(0, len(tile), HASH_SIZE)]


class Range(NamedTuple):
    """The leaves from `begin` to `end`."""

    begin: int
    end: int

    def nodes(self) -> Iterator[tuple[int, int]]:
        """Yield the complete subtrees of the range, by level and index, from the left."""
        begin = self.begin
        while begin < self.end:
            level = (self.end - begin).bit_length() - 1
            if begin:
                level = min(level, (begin & -begin).bit_length() - 1)
            yield level, begin >> level
            begin += 1 << level


def consistency_ranges(first: int, second: int) -> list[Range]:
    """Return whose hashes are the proof that a tree continues a smaller one (RFC 9162, 2.1.4.1)."""
    return _subproof(first, Range(0, second), complete=True)


def _subproof(first: int, within: Range, *, complete: bool) -> list[Range]:
    size = within.end - within.begin
    if first == size:
        return [] if complete else [within]
    middle = 1 << (size - 1).bit_length() - 1  # the largest power of two below the size
    left = Range(within.begin, within.begin + middle)
    right = Range(left.end, within.end)
    if first <= middle:
        return [*_subproof(first, left, complete=complete), right]
    return [*_subproof(first - middle, right, complete=False), left]


def tiles_of(ranges: Iterable[Range], size: int) -> set[Tile]:
    """Return the tiles of a tree that are necessary for the hashes of ranges."""
    tiles: set[Tile] = set()
    for level, index in (node for each in ranges for node in each.nodes()):
        tile_level, height = divmod(level, TILE_HEIGHT)
        number = (index << height) // TILE_WIDTH
        count = (size >> (TILE_HEIGHT * tile_level)) - number * TILE_WIDTH
        tiles.add(Tile(tile_level, number, min(count, TILE_WIDTH)))
    return tiles


def range_hash(leaves: Range, tiles: Mapping[tuple[int, int], Sequence[bytes]]) -> bytes:
    """Return the hash of a range of leaves by the hashes of tiles, by their levels and numbers."""
    hashes: list[bytes] = []
    for level, index in leaves.nodes():
        tile_level, height = divmod(level, TILE_HEIGHT)
        number, start = divmod(index << height, TILE_WIDTH)
        parts = tiles[tile_level, number][start : start + (1 << height)]
        hashes.append(Tree().append(parts).root)
    return Tree(leaves.end - leaves.begin, tuple(hashes)).root
