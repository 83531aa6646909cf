"""What the finalizer keeps of the change feed, and what is published of it.

The state is written before anything of a commit is published. Everything published follows from it,
so that publishing the same commit again, after a crash or by two finalizers, writes the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from frumious.model import changes, checkpoint, layout, merkle
from frumious.model.changes import Hash, encoded
from frumious.model.checkpoint import Checkpoint, InvalidCheckpoint
from frumious.model.merkle import TILE_WIDTH, Tile, Tree
from frumious.model.types import Count, Key
from frumious.state.objects import LedgerCorrupt, read_or_set_aside

if TYPE_CHECKING:
    from frumious.storage.protocol import Storage, Stored

_REPAIR: Final = (
    "restore the objects below web/changes/, or delete them and state/changes.json to begin a new"
    " feed"
)


class FeedState(Struct, frozen=True, kw_only=True, rename="kebab"):
    """The tree before the last commit, and the entries that this commit appends."""

    origin: Annotated[str, Meta(min_length=1, max_length=300)]
    size: Count = 0  # before it
    hashes: Annotated[tuple[Hash, ...], Meta(max_length=64)] = ()
    lines: tuple[str, ...] = ()
    reports: tuple[Key, ...] = ()  # objects of the inbox that the commit covers

    def __post_init__(self) -> None:
        """Check that the hashes are those of a tree.

        Raises:
            ValueError: they are not.
        """
        _ = self.base

    @property
    def base(self) -> Tree:
        """The tree before the commit."""
        return changes.decoded(self.size, self.hashes)

    @property
    def committed(self) -> Tree:
        """The tree with the commit."""
        return self.base.append(merkle.leaf_hash(line.encode()) for line in self.lines)

    @property
    def end(self) -> int:
        """How many entries there are with the commit."""
        return self.size + len(self.lines)

    def committing(self, lines: tuple[str, ...], reports: tuple[Key, ...]) -> FeedState:
        """Return the state with one more commit."""
        tree = self.committed
        return FeedState(
            origin=self.origin, size=tree.size, hashes=encoded(tree), lines=lines, reports=reports
        )


async def read_state(storage: Storage) -> tuple[FeedState | None, str | None]:
    """Return the state and its etag; a damaged one counts as absent."""
    return await read_or_set_aside(layout.FEED, FeedState, storage)


async def read_checkpoint(storage: Storage) -> tuple[Checkpoint | None, str | None]:
    """Return the published checkpoint and its etag; None: there is none.

    Raises:
        LedgerCorrupt: what is stored is none.
    """
    stored = await storage.read(changes.CHECKPOINT)
    if stored is None:
        return None, None
    try:
        return checkpoint.parse(stored.body).checkpoint, stored.etag
    except InvalidCheckpoint as error:
        msg = f"{changes.CHECKPOINT!r} is damaged ({error}): {_REPAIR}"
        raise LedgerCorrupt(msg) from error


async def restored_state(published: Checkpoint, storage: Storage) -> FeedState:
    """Return the state that follows from what is published, where the stored one is lost.

    Raises:
        LedgerCorrupt: what is published does not hang together.
    """
    edge = {
        tile.level: await read_tile(tile, storage) for tile in merkle.edge_tiles(published.size)
    }
    tree = merkle.tree_of(published.size, edge)
    if tree.root != published.root:
        problem = "its tiles do not have the root of its checkpoint"
        raise damaged(problem)
    return FeedState(origin=published.origin, size=tree.size, hashes=encoded(tree))


async def read_tile(tile: Tile, storage: Storage) -> list[bytes]:
    """Return the hashes of a tile, which may have grown since.

    Raises:
        LedgerCorrupt: it is missing, or has another size.
    """
    stored = await _read_grown(changes.tile_key(tile), changes.tile_key(tile.full), storage)
    hashes = merkle.split_hashes(stored.body)[: tile.width]
    if len(hashes) != tile.width or len(hashes[-1]) != merkle.HASH_SIZE:
        problem = f"{tile.path} has {len(stored.body)} bytes"
        raise damaged(problem)
    return hashes


async def read_bundle(number: int, width: int, storage: Storage) -> list[bytes]:
    """Return the lines of a bundle, which may have grown since.

    Raises:
        LedgerCorrupt: it is missing, or has another size.
    """
    keys = changes.bundle_key(number, width), changes.bundle_key(number, TILE_WIDTH)
    lines = changes.split_lines((await _read_grown(*keys, storage)).body, width)
    if len(lines) != width:
        problem = f"{changes.bundle_path(number, width)} has {len(lines)} lines"
        raise damaged(problem)
    return lines


def damaged(problem: str) -> LedgerCorrupt:
    """Return the error that says what is wrong with the published feed."""
    return LedgerCorrupt(f"the change feed is damaged: {problem}: {_REPAIR}")


async def _read_grown(partial: Key, full: Key, storage: Storage) -> Stored:
    """Return a partial tile or bundle, or the full one, after which the partial ones are deleted.

    Raises:
        LedgerCorrupt: there is neither.
    """
    stored = await storage.read(partial)
    if stored is None and partial != full:
        stored = await storage.read(full)
    if stored is None:
        problem = f"{partial!r} is missing"
        raise damaged(problem)
    return stored
