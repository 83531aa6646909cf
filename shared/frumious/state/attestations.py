"""What is known of the attestations of projects: an object for each project that is verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.model import layout
from frumious.model.attestations import KnownAttestations
from frumious.state.objects import read_or_set_aside, render

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.storage.protocol import Storage


class AttestationRecord:
    """What is known of a project's attestations, as it was read and as it was last written."""

    def __init__(self, project: NormalizedName, storage: Storage) -> None:
        self._key = layout.attestations(project)
        self._storage = storage
        self._etag: str | None = None
        self.known = KnownAttestations()

    async def read(self) -> None:
        """Read it; damaged, it counts as absent: all files are verified anew."""
        found, self._etag = await read_or_set_aside(self._key, KnownAttestations, self._storage)
        self.known = found or KnownAttestations()

    async def write(self, known: KnownAttestations) -> None:
        """Keep what is known now, if it is something else.

        Raises:
            Conflict: another job keeps it too.
        """
        if known == self.known:
            return
        body = render(known)
        if self._etag is None:
            self._etag = await self._storage.create(self._key, body)
        else:
            self._etag = await self._storage.write(self._key, body, replacing=self._etag)
        self.known = known
