"""The readers of a stack with Snapshots=true: what its edge function finds in its store.

template.yaml's function has the same keys. No token has such a name (access/tokens).
"""

from __future__ import annotations

import asyncio
from typing import Final

from frumious.access.edge_store import EdgeStore

_OFFERED: Final = "snapshot:"  # <snapshot>
_SERVED: Final = "served:live"  # the snapshot that readers get as /simple/


class EdgeReaders:
    """Readers behind the edge function. All methods raise an EdgeStoreError if AWS refuses."""

    def __init__(self, arn: str) -> None:
        """Open the store with this ARN.

        Raises:
            EdgeStoreError: this is not the ARN of a store.
        """
        self._store = EdgeStore(arn, output="SnapshotStore")

    def check(self) -> None:
        """Do nothing: the function reads what is stored."""

    async def offer(self, snapshot: str) -> bool:
        """Serve a snapshot below `/snapshot/<snapshot>/`."""
        await asyncio.to_thread(self._store.put, f"{_OFFERED}{snapshot}", "1")
        return True

    async def withdraw(self, snapshot: str) -> None:
        """Answer 404 below `/snapshot/<snapshot>/`."""
        await asyncio.to_thread(self._store.delete, f"{_OFFERED}{snapshot}")

    async def point(self, snapshot: str | None) -> None:
        """Serve a snapshot as `/simple/`, which is then also offered; None: the live index."""
        if snapshot is None:
            await asyncio.to_thread(self._store.delete, _SERVED)
        else:
            await self.offer(snapshot)
            await asyncio.to_thread(self._store.put, _SERVED, snapshot)

    async def served(self) -> str | None:
        """Return the snapshot that is served as `/simple/`."""
        return (await asyncio.to_thread(self._store.values)).get(_SERVED)
