"""The snapshots of the index, and the pages that they keep, in the storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.model.snapshots import SNAPSHOTS, KeptPage, Snapshots, kept_page_key
from frumious.state.objects import parse
from frumious.state.replacing import change_or_set_aside

if TYPE_CHECKING:
    from collections.abc import Callable

    from packaging.utils import NormalizedName

    from frumious.storage.protocol import Storage


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
        Conflict: others replaced them again and again.
    """
    return await change_or_set_aside(SNAPSHOTS, Snapshots, change, storage)


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
