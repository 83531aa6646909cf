"""What is known of attestations: an object for each project, and one of all that have faults."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from frumious.model import layout
from frumious.model.attestations import KnownAttestations, UnverifiedProjects
from frumious.state.objects import LedgerCorrupt, parse, read_or_set_aside, render
from frumious.state.replacing import replace_object

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.storage.protocol import Storage


class AttestationRecord:
    """What is known of a project's attestations, as it was read and as it was last written.

    If it is `read_only`, what is written is not stored.
    """

    def __init__(
        self, project: NormalizedName, storage: Storage, *, read_only: bool = False
    ) -> None:
        self.read_only = read_only
        self._key = layout.attestations(project)
        self._storage = storage
        self._etag: str | None = None
        self.known = KnownAttestations()

    async def read(self) -> None:
        """Read it; damaged, it counts as absent: all files are verified anew."""
        if self.read_only:
            stored = await self._storage.read(self._key)
            with suppress(LedgerCorrupt):
                if stored is not None:
                    self.known = parse(self._key, stored, KnownAttestations)
            return
        found, self._etag = await read_or_set_aside(self._key, KnownAttestations, self._storage)
        self.known = found or KnownAttestations()

    async def write(self, known: KnownAttestations) -> None:
        """Keep what is known now, if it is something else.

        Raises:
            Conflict: another job keeps it too.
        """
        if known == self.known:
            return
        if not self.read_only:
            self._etag = await replace_object(self._key, render(known), self._etag, self._storage)
        self.known = known


async def read_unverified(storage: Storage) -> UnverifiedProjects:
    """Return the projects with faults; damaged, it counts as empty: their next jobs report them."""
    found, _ = await read_or_set_aside(layout.UNVERIFIED, UnverifiedProjects, storage)
    return found or UnverifiedProjects()
