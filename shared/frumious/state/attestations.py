"""What is known of attestations: an object for each project, and one of all that have faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frumious.model import layout
from frumious.model.attestations import KnownAttestations, UnverifiedProjects
from frumious.state.objects import read_or_set_aside, render
from frumious.storage.protocol import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable

    from packaging.utils import NormalizedName

    from frumious.storage.protocol import Storage


_ATTEMPTS: Final = 20


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


async def read_unverified(storage: Storage) -> UnverifiedProjects:
    """Return the projects with faults; damaged, it counts as empty: their next jobs report them."""
    found, _ = await read_or_set_aside(layout.UNVERIFIED, UnverifiedProjects, storage)
    return found or UnverifiedProjects()


async def change_unverified(
    change: Callable[[UnverifiedProjects], UnverifiedProjects], storage: Storage
) -> UnverifiedProjects:
    """Change the projects with faults, and return them.

    Raises:
        Conflict: others replaced the object again and again.
    """
    for _ in range(_ATTEMPTS):
        found, etag = await read_or_set_aside(layout.UNVERIFIED, UnverifiedProjects, storage)
        before = found or UnverifiedProjects()
        after = change(before)
        if after == before:
            return before
        try:
            if etag is None:
                await storage.create(layout.UNVERIFIED, render(after))
            else:
                await storage.write(layout.UNVERIFIED, render(after), replacing=etag)
        except Conflict:
            continue
        return after
    msg = f"{layout.UNVERIFIED!r} was replaced by others {_ATTEMPTS} times in a row"
    raise Conflict(msg)
