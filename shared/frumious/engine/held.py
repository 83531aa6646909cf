"""What the mirror itself has, by its root index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious import layout
from frumious.simple import root_index

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName

    from frumious.engine.mirror import Mirror
    from frumious.model import Listed


async def held_projects(mirror: Mirror) -> Iterable[tuple[NormalizedName, Listed]]:
    """Return the projects of the mirror's root index, as a stream that can be read once."""
    key = layout.root_page(layout.V1_JSON)
    stored = await mirror.storage.read(key)
    return () if stored is None else root_index.entries(stored.body, key)
