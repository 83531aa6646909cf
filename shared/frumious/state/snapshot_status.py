"""What status.json says of the snapshots; planners, which do not need it, do not import it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.state.snapshots import read_snapshots
from frumious.state.status_files import amend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.model.types import JsonObject
    from frumious.storage.protocol import Storage


async def publish_snapshots(storage: Storage) -> None:
    """Say in status.json which snapshots there are, and which of them readers get.

    Raises:
        Conflict: as `amend`.
        LedgerCorrupt: nobody knows which snapshots there are.
    """

    async def values(before: JsonObject) -> Mapping[str, object]:
        known = await read_snapshots(storage)
        return {"snapshots": known.payload} if known.snapshots or "snapshots" in before else {}

    await amend(values, storage)
