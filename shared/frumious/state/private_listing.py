"""`state/private.json`: the projects of the private directory, for the next run and for workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.model import layout
from frumious.model.private import PrivateListing
from frumious.state.objects import parse, render

if TYPE_CHECKING:
    from frumious.storage.protocol import Storage


async def read_listing(storage: Storage) -> PrivateListing | None:
    """Return the last listing; None: there is none.

    Raises:
        LedgerCorrupt: it is not what the mirror wrote. Which names are private is not known.
    """
    stored = await storage.read(layout.PRIVATE)
    return None if stored is None else parse(layout.PRIVATE, stored, PrivateListing)


async def write_listing(listing: PrivateListing, storage: Storage) -> None:
    """Keep a listing."""
    await storage.write(layout.PRIVATE, render(listing))
