"""The advisories that count, each version of them in an object of its own.

The cursor names the one that counts by its digest. So a planner that is killed between two writes
leaves the earlier one in force, and a process reads an object once.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from frumious.model import layout
from frumious.model.advisories import Advisories
from frumious.state.objects import LedgerCorrupt, parse, render

if TYPE_CHECKING:
    from collections.abc import Collection

    from packaging.utils import NormalizedName

    from frumious.storage.protocol import Storage

NOTHING = Advisories()


class AdvisoryStore:
    """Advisories in the mirror's storage; the last ones stay in memory."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known = "", NOTHING  # the last ones, and their digest
        self._blocked: tuple[str, frozenset[NormalizedName]] = "", frozenset()

    async def read(self, digest: str) -> Advisories:
        """Return the advisories with a digest; none without a digest.

        Raises:
            LedgerCorrupt: they are missing or damaged: nobody knows what is blocked.
        """
        if not digest:
            return NOTHING
        if self._known[0] != digest:
            key = layout.advisories(digest)
            stored = await self._storage.read(key)
            if stored is None:
                msg = f"{key!r} is missing; the next run reads the feed of advisories anew"
                raise LedgerCorrupt(msg)
            self._known = digest, parse(key, stored, Advisories)
        return self._known[1]

    async def wholly_blocked(self, digest: str) -> frozenset[NormalizedName]:
        """Return the projects that the advisories with a digest block as a whole; as `read`."""
        if self._blocked[0] != digest:
            advisories = await self.read(digest)
            self._blocked = digest, frozenset(advisories.wholly_blocked())
        return self._blocked[1] if digest else frozenset()

    async def write(self, advisories: Advisories) -> str:
        """Store advisories, and return their digest; they count once the cursor names it."""
        body = render(advisories)
        digest = hashlib.sha256(body).hexdigest()[:32]
        await self._storage.write(layout.advisories(digest), body)
        self._known = digest, advisories
        return digest

    async def prune(self, keeping: Collection[str]) -> None:
        """Delete all advisories but those with these digests."""
        kept = {layout.advisories(digest) for digest in keeping}
        stored = [entry.key async for entry in self._storage.list(layout.ADVISORIES)]
        await self._storage.delete([key for key in stored if key not in kept])
