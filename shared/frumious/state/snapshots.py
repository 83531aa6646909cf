"""The snapshots of the index, and the pages that they keep, in the storage."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from frumious.model.layout import UnsafeName, filename
from frumious.model.snapshots import KEPT_PAGES, SNAPSHOTS, KeptPage, Snapshots, kept_page_key
from frumious.simple import kept_page
from frumious.simple.values import InvalidPage
from frumious.state.objects import LedgerCorrupt, parse
from frumious.state.replacing import change_or_raise

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from collections.abc import Set as AbstractSet

    from packaging.utils import NormalizedName

    from frumious.model.types import Key
    from frumious.storage.protocol import Storage

# Seconds for which jobs go on with what they know. It counts in `Snapshot.fixed`, together with the
# time from then until the job has written the page.
_MAX_AGE: Final = 60.0


class KnownSnapshots:
    """The active snapshots, as the jobs of this process know them.

    They are read when the first page is about to change: a process without changes never does.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = asyncio.Lock()
        self._names: tuple[str, ...] | None = None
        self._read_at = 0.0

    def forget(self) -> None:
        """Read the snapshots again before the next page changes: other jobs begin."""
        self._names = None

    async def active(self) -> tuple[str, ...]:
        """Return the names of the snapshots that keep pages.

        Raises:
            LedgerCorrupt: nobody knows them, so that no page may change.
        """
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if self._names is None or now - self._read_at > _MAX_AGE:
                self._names = (await read_snapshots(self._storage)).active
                self._read_at = now
            return self._names

    async def keeping(self, projects: Container[NormalizedName]) -> AbstractSet[NormalizedName]:
        """Return those of the projects of which a snapshot keeps a page, by a listing."""
        kept: set[NormalizedName] = set()
        for name in await self.active():
            async for entry in self._storage.list(f"{KEPT_PAGES}{name}/"):
                project = cast("NormalizedName", filename(entry.key).removesuffix(".json"))
                if project in projects:
                    kept.add(project)
        return kept

    async def shown_keys(self, project: NormalizedName) -> frozenset[Key] | None:
        """Return the keys of the files that snapshots show on pages of their own.

        None: nobody can say it, as the list of them is damaged, or what one of them keeps.
        """
        shown: set[Key] = set()
        try:
            for name in await self.active():
                kept = await read_kept_page(name, project, self._storage)
                if kept is not None:
                    shown |= kept_page.shown_keys(name, project, kept)
        except (LedgerCorrupt, InvalidPage, UnsafeName):
            return None
        return frozenset(shown)


class NoSnapshots(KnownSnapshots):
    """None: those of an index whose pages no snapshot keeps."""

    async def active(self) -> tuple[str, ...]:
        """Return nothing, without a request."""
        return ()


async def read_snapshots(storage: Storage) -> Snapshots:
    """Return the snapshots that the mirror has.

    Raises:
        LedgerCorrupt: the file is damaged; without it nobody knows which pages to keep.
    """
    stored = await storage.read(SNAPSHOTS)
    return Snapshots() if stored is None else parse(SNAPSHOTS, stored, Snapshots)


async def change_snapshots(
    change: Callable[[Snapshots], Snapshots | None], storage: Storage
) -> Snapshots | None:
    """Replace the snapshots by what `change` makes of them, however many do so at once.

    Raises:
        LedgerCorrupt: as `read_snapshots`.
        Conflict: others replaced them again and again.
    """
    return await change_or_raise(SNAPSHOTS, Snapshots, change, storage)


async def read_kept_page(
    snapshot: str, project: NormalizedName, storage: Storage
) -> KeptPage | None:
    """Return what a snapshot keeps of a project; None: the live page is the snapshot's as well.

    Raises:
        LedgerCorrupt: it is damaged.
    """
    key = kept_page_key(snapshot, project)
    stored = await storage.read(key)
    return None if stored is None else parse(key, stored, KeptPage)
