"""The change feed: its entries, its objects, and a reader's position in it."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final, Self

import msgspec
from msgspec import Meta, Struct

from frumious.errors import FrumiousError, Reason
from frumious.model import merkle
from frumious.model.layout import CHANGES
from frumious.model.merkle import TILE_WIDTH, Tile, Tree
from frumious.model.types import (
    Count,
    Filename,
    IsoTime,
    Key,
    ProjectName,
    RunName,
    Seconds,
    Serial,
    Sha256,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHECKPOINT: Final = Key(f"{CHANGES}checkpoint")

MAX_BUNDLE_BYTES: Final = 64 * 1024**2  # a project may have thousands of files

Hash = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9+/]{43}=\Z")]  # of the tree, in base64


class InvalidEntry(FrumiousError):
    """A line that is no entry of a change feed."""

    reason = Reason.UPSTREAM_INVALID


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="kebab"):
    """What a job changed: one line of the feed, and one leaf of its tree."""

    project: ProjectName
    serial: Serial | None = None  # upstream's, of the project's page
    outcome: Annotated[str, Meta(pattern=r"\A(updated|removed|quarantined)\Z")]
    run: RunName
    time: IsoTime = ""  # when the mirror recorded it
    upstream_time: IsoTime = ""  # when upstream got the newest of the added files
    added: Mapping[Filename, Sha256] = {}  # files of releases; "": it is not known
    removed: Mapping[Filename, Sha256] = {}  # that the page stopped naming
    page: Sha256 = ""  # of the project's JSON page; empty: there is none
    quarantined: bool = False  # a release of it, or the project
    mirror_serial: Serial | None = None  # of the mirror as a whole

    def render(self) -> bytes:
        """Render the entry as a line, without its end."""
        return msgspec.json.encode(self, order="deterministic")


def parse_entry(line: bytes) -> Entry:
    """Parse a line, whose unknown keys are ignored.

    Raises:
        InvalidEntry: it is none.
    """
    try:
        return msgspec.json.decode(line, type=Entry)
    except (ValueError, RecursionError) as error:
        msg = f"the feed has a line that is no entry ({error!s:.200}): {line[:80]!r}"
        raise InvalidEntry(msg) from error


def bundle_path(number: int, width: int) -> str:
    """Return the path of a bundle of entries below the feed."""
    return f"entries/{merkle.tile_path(number, width)}"


def bundle_key(number: int, width: int = TILE_WIDTH) -> Key:
    """Return the key of a bundle of entries."""
    return Key(f"{CHANGES}{bundle_path(number, width)}")


def tile_key(tile: Tile) -> Key:
    """Return the key of a tile."""
    return Key(f"{CHANGES}{tile.path}")


def partial_tiles(tile: Tile) -> str:
    """Return what the keys of a tile's partial versions begin with."""
    return f"{tile_key(tile.full)}.p/"


def partial_bundles(number: int) -> str:
    """Return what the keys of a bundle's partial versions begin with."""
    return f"{bundle_key(number)}.p/"


def bundles(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the number and the width of the bundles that hold the entries of a range."""
    for number in range(begin // TILE_WIDTH, -(-end // TILE_WIDTH)):
        yield number, min(end - number * TILE_WIDTH, TILE_WIDTH)


def split_lines(bundle: bytes, width: int) -> list[bytes]:
    """Return the first `width` lines of a bundle; what has no end was cut off."""
    return bundle.split(b"\n", width)[:-1]


def join_lines(lines: list[bytes]) -> bytes:
    """Return a bundle of lines."""
    return b"".join(b"%b\n" % line for line in lines)


class Position(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="kebab"):
    """How far a feed was read, and the right edge of its tree there."""

    origin: Annotated[str, Meta(max_length=300)] = ""  # empty: it was never read
    size: Count = 0
    hashes: Annotated[tuple[Hash, ...], Meta(max_length=64)] = ()
    checkpoint: Annotated[str, Meta(max_length=8192)] = ""  # the note itself: a proof
    etag: Annotated[str, Meta(max_length=300)] = ""  # of the checkpoint
    # Since when the feed is another one, or shorter.
    regressed: Seconds = 0.0

    def __post_init__(self) -> None:
        """Check that there are as many hashes as the size demands.

        Raises:
            ValueError: there are not.
        """
        _ = self.tree

    @property
    def tree(self) -> Tree:
        """The tree up to here."""
        return decoded(self.size, self.hashes)

    @classmethod
    def of(cls, origin: str, tree: Tree, checkpoint: str = "", etag: str = "") -> Self:
        """Return the position behind all leaves of a tree."""
        return cls(
            origin=origin,
            size=tree.size,
            hashes=encoded(tree),
            checkpoint=checkpoint,
            etag=etag,
        )


def encoded(tree: Tree) -> tuple[str, ...]:
    """Return the hashes of a tree's right edge as text."""
    return tuple(b64encode(each).decode() for each in tree.hashes)


def decoded(size: int, hashes: Iterable[str]) -> Tree:
    """Return the tree of `encoded` hashes.

    Raises:
        ValueError: they are none of a tree of that size.
    """
    return Tree(size, tuple(map(b64decode, hashes)))
