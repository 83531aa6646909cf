"""A mirror, as the index without the cooldown sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from frumious.model.page_layout import Gzip
from frumious.state.page_store import PageStore
from frumious.state.snapshots import NoSnapshots
from frumious.storage.simple_all import SimpleAllStorage

if TYPE_CHECKING:
    from frumious.mirror import Mirror


def without_cooldown(mirror: Mirror) -> Mirror:
    """Return the mirror as the index without the cooldown: its keys are those of the live index.

    Its pages have no compressed variants, older versions and snapshots.
    """
    storage = SimpleAllStorage(mirror.storage)
    page_layout = replace(mirror.pages.layout, gzip=Gzip.NONE)
    pages = PageStore(storage, page_layout, mirror.ledger, NoSnapshots(storage))
    config = replace(mirror.config, keep_index_versions=0, cleanup=False)
    return replace(mirror, config=config, storage=storage, pages=pages)
