"""A snapshot of the index as it is now.

Its entry comes first: from then on jobs keep for it what they change. Readers get it once its root
index is there. A command that was killed in between is finished by the same command.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from frumious.model import layout
from frumious.model.snapshots import (
    GRACE,
    KEPT_PAGES,
    SNAPSHOT_PAGES,
    Snapshot,
    Snapshots,
    snapshot_key,
)
from frumious.snapshots.errors import SnapshotError, check_name
from frumious.state.snapshot_status import publish_snapshots
from frumious.state.snapshots import change_snapshots, read_snapshots
from frumious.storage.protocol import delete_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.mirror import Mirror
    from frumious.model.types import Key
    from frumious.snapshots.readers import Readers


@dataclass(frozen=True, slots=True)
class Created:
    """A snapshot that was created, and how many there are now."""

    snapshot: Snapshot
    number: int
    offered: bool  # whether readers are known to get it


async def create_snapshot(name: str, mirror: Mirror, readers: Readers, *, alone: bool) -> Created:
    """Create a snapshot of the index as it is now, or finish its creation.

    `alone`: no job is at work, so that it never changes from now on.

    Raises:
        SnapshotError: the name is not allowed or not free, or there is no index yet.
        LedgerCorrupt: nobody knows which snapshots there are.
    """
    check_name(name)
    roots = await read_roots(mirror)
    new = await begin(name, mirror, alone=alone)
    return await finish(name, new, roots, mirror, readers)


async def read_roots(mirror: Mirror) -> Mapping[Key, bytes]:
    """Return the root index in all forms that readers get.

    Raises:
        SnapshotError: one is missing.
    """
    pages = mirror.pages.layout
    bodies: dict[Key, bytes] = {}
    for form in pages.forms:
        key = layout.root_page(form)
        stored = await mirror.storage.read(key)
        if stored is None:
            msg = f"the mirror has no root index at {key!r} yet: run 'frumious mirror' first"
            raise SnapshotError(msg)
        bodies[key] = stored.body
    return bodies


async def begin(name: str, mirror: Mirror, *, alone: bool, as_of: float | None = None) -> Snapshot:
    """Let jobs keep pages for a new snapshot, and return it, or the one that is being created.

    Raises:
        SnapshotError: the name is not free.
    """
    known = await read_snapshots(mirror.storage)
    existing = known.snapshots.get(name)
    if existing is None:
        await _delete_leftovers(name, mirror)
    elif not (existing.creating or existing.deleting):
        await publish_snapshots(mirror.storage)  # a command may have been killed before
    now = mirror.clock.now()
    cursor = await mirror.ledger.cursor()
    new = Snapshot(
        created=now,
        fixed=now if alone else now + GRACE,
        serial=cursor.mirror_serial or 0,
        as_of=as_of,
        creating=True,
    )

    def add(known: Snapshots) -> Snapshots:
        existing = known.snapshots.get(name)
        if existing is not None:
            _check_unfinished(name, existing, as_of)
            return known
        return replace(known, snapshots={**known.snapshots, name: new})

    added = await change_snapshots(add, mirror.storage)
    mirror.pages.snapshots.forget()
    begun = new if added is None else added.snapshots[name]
    now = mirror.clock.now()
    if alone:
        return replace(begun, fixed=min(begun.fixed, now))
    # This process may have stood still before it stored the entry: jobs know it from now on.
    later = now + GRACE
    return replace(begun, fixed=later if begun.is_fixed(later) else begun.fixed)


async def finish(
    name: str, new: Snapshot, roots: Mapping[Key, bytes], mirror: Mirror, readers: Readers
) -> Created:
    """Let readers get a snapshot, whose other pages are all there."""
    for key, body in roots.items():
        await mirror.storage.write(snapshot_key(name, key), body)
    offered = await readers.offer(name)
    created = replace(new, creating=False)

    def complete(known: Snapshots) -> Snapshots | None:
        if name not in known.snapshots:
            return None
        return replace(known, snapshots={**known.snapshots, name: created})

    known = await change_snapshots(complete, mirror.storage)
    if known is None:
        msg = f"somebody has deleted the snapshot {name!r} while it was being created"
        raise SnapshotError(msg)
    await publish_snapshots(mirror.storage)
    return Created(created, len(known.snapshots), offered)


def _check_unfinished(name: str, existing: Snapshot, as_of: float | None) -> None:
    """Check that a snapshot is one that this command began.

    Raises:
        SnapshotError: it is not.
    """
    if existing.deleting:
        msg = f"the snapshot {name!r} is being deleted: 'frumious snapshot delete {name}' ends that"
    elif not existing.creating:
        msg = f"there is a snapshot {name!r}: delete it first, or take another name"
    elif existing.as_of != as_of:
        msg = (
            f"the snapshot {name!r} is being created with another --as-of: give the same, or delete"
            " it first"
        )
    else:
        return
    raise SnapshotError(msg)


async def _delete_leftovers(name: str, mirror: Mirror) -> None:
    """Delete what a late job kept for a snapshot of the same name that was deleted."""
    for prefix in (f"{KEPT_PAGES}{name}/", f"{SNAPSHOT_PAGES}{name}/"):
        await delete_all(prefix, mirror.storage)
