"""Readers get a snapshot as the live index, and later the live index again.

State names the snapshot as long as any reader may get it: it cannot be deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from frumious.clock import utc
from frumious.snapshots.errors import SnapshotError, find
from frumious.state.snapshot_status import publish_snapshots
from frumious.state.snapshots import change_snapshots

if TYPE_CHECKING:
    from frumious.mirror import Mirror
    from frumious.model.snapshots import Snapshot, Snapshots
    from frumious.snapshots.readers import Readers


async def roll_back(name: str, mirror: Mirror, readers: Readers) -> None:
    """Let readers get a snapshot as the live index.

    Raises:
        SnapshotError: there is none of this name, or it may still change or is incomplete.
        CannotSwitch: nothing can switch the readers.
        LedgerCorrupt: nobody knows which snapshots there are.
    """
    readers.check()
    now = mirror.clock.now()

    def serve(known: Snapshots) -> Snapshots:
        _check_fixed(name, find(name, known), now)
        return replace(known, served=name)

    await change_snapshots(serve, mirror.storage)
    await readers.point(name)
    await publish_snapshots(mirror.storage)


async def roll_forward(mirror: Mirror, readers: Readers) -> str | None:
    """Let readers get the live index again; return the snapshot that they got.

    Raises:
        CannotSwitch, LedgerCorrupt: as `roll_back`.
    """
    readers.check()
    await readers.point(None)
    served: list[str | None] = []

    def serve_live(known: Snapshots) -> Snapshots:
        served.append(known.served)
        return replace(known, served=None)

    await change_snapshots(serve_live, mirror.storage)
    await publish_snapshots(mirror.storage)
    return served[-1]


def _check_fixed(name: str, snapshot: Snapshot, now: float) -> None:
    """Check that a snapshot is complete, and never changes.

    Raises:
        SnapshotError: it is not.
    """
    if snapshot.deleting:
        msg = f"the snapshot {name!r} is being deleted"
    elif snapshot.creating:
        msg = f"the snapshot {name!r} is not complete: create it again to finish it"
    elif not snapshot.is_fixed(now):
        msg = (
            f"the snapshot {name!r} may change until {utc(snapshot.fixed)}, as jobs may be at work"
            " that began before it; try again then"
        )
    else:
        return
    raise SnapshotError(msg)
