"""Which snapshots there are by a listing: for a damaged list, and to find what belongs to none."""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from frumious.model import layout
from frumious.model.audits import Finding, Kind
from frumious.model.snapshots import (
    KEPT_PAGES,
    SNAPSHOT_NAME,
    SNAPSHOT_PAGES,
    Snapshot,
    Snapshots,
    snapshot_key,
)
from frumious.simple import root_index
from frumious.simple.values import InvalidPage
from frumious.state.objects import LedgerCorrupt
from frumious.state.snapshots import read_snapshots

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from frumious.state.page_store import PageStore
    from frumious.storage.protocol import Entry, Storage

_NAME: Final = re.compile(SNAPSHOT_NAME)


async def rebuild_snapshots(now: float, pages: PageStore) -> Snapshots:
    """Return the snapshots of which anything is stored; their readers know which one they get.

    The time at which one was created is that of its root index.
    """
    found: dict[str, Snapshot] = {}
    for prefix in (SNAPSHOT_PAGES, KEPT_PAGES):
        async for name, _ in _folders(prefix, pages.storage):
            if name not in found and _NAME.fullmatch(name):
                found[name] = await _snapshot(name, now, pages)
    return Snapshots(snapshots=found)


async def stray_snapshots(pages: PageStore) -> list[Finding]:
    """Return an object of each folder that belongs to no snapshot."""
    try:
        known = await read_snapshots(pages.storage)
    except LedgerCorrupt:
        return []  # a finding of its own
    return [
        Finding(Kind.LEFTOVER, entry.key, detail=f"there is no snapshot {name!r}")
        for prefix in (SNAPSHOT_PAGES, KEPT_PAGES)
        async for name, entry in _folders(prefix, pages.storage)
        if name not in known.snapshots
    ]


async def _snapshot(name: str, now: float, pages: PageStore) -> Snapshot:
    created, serial = now, 0
    for form in pages.layout.forms:
        key = snapshot_key(name, layout.root_page(form))
        async with aclosing(pages.storage.list(key)) as listing:
            entry = await anext(listing, None)
        if entry is not None and entry.modified is not None:
            created = min(created, entry.modified)
        stored = await pages.storage.read(key) if form == layout.V1_JSON else None
        if stored is not None:
            try:
                found = root_index.meta(stored.body, key).get("_last-serial")
            except InvalidPage:
                continue
            serial = found if isinstance(found, int) else 0
    return Snapshot(created=created, fixed=max(created, now), serial=serial)


async def _folders(prefix: str, storage: Storage) -> AsyncIterator[tuple[str, Entry]]:
    """Yield each folder below a prefix, and its first object, with a listing for each."""
    after: str | None = ""
    while after is not None:
        begin, after = after, None
        async with aclosing(storage.list(prefix, after=begin)) as listing:
            async for entry in listing:
                name, slash, _ = entry.key.removeprefix(prefix).partition("/")
                if slash:
                    yield name, entry
                    after = f"{prefix}{name}0"  # "0" follows the slash
                    break
