"""What the mirror itself has, by its root index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.simple import root_index

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.pages import ListedProject
    from frumious.model.types import Key
    from frumious.storage.protocol import Stored


async def listed_projects(mirror: Mirror) -> Iterable[tuple[NormalizedName, ListedProject]]:
    """Return the projects of the mirror's root index, as a stream that can be read once."""
    key, stored = await read_root_index(mirror)
    return () if stored is None else root_index.entries(stored.body, key)


async def read_root_index(mirror: Mirror) -> tuple[Key, Stored | None]:
    """Return the JSON root index, and where it lies: perhaps as it was configured before."""
    here = mirror.pages.root_manifest
    stored = await mirror.storage.read(here)
    if stored is None:
        for pages in await mirror.former_pages():
            if pages.root_manifest != here:
                stored = await mirror.storage.read(pages.root_manifest)
                return pages.root_manifest, stored
    return here, stored
