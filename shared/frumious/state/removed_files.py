"""What is kept of files that a project's page named once: hashes, and when they are deleted.

A file that comes back has to have the same bytes. It is deleted some time after the page has
stopped naming it (`delete-after`), so that a wrong removal can be taken back.

All of it is kept before a page stops naming a file. The page says whether there is any, so that
most jobs need no request for it. An object below `layout.DELETIONS` lets the planner find the
projects whose files are due.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from frumious.model import layout
from frumious.model.blobs import known_hashes
from frumious.model.losses import WINDOW
from frumious.model.types import Count, Hour, PublicKey
from frumious.state.objects import read_or_set_aside, render
from frumious.state.replacing import replace_object

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from packaging.utils import NormalizedName

    from frumious.model.blobs import MirroredFile
    from frumious.model.types import Key
    from frumious.storage.protocol import Storage

_HOUR: Final = 3600  # seconds
_REMEMBERED: Final = 7 * 24 * _HOUR
_MAX_BOOKED: Final = 100  # losses of a project that are remembered


class Booked(Struct, frozen=True, array_like=True):
    """Files that the project lost, as they are booked with those of all projects."""

    digest: str  # of their names
    hour: Hour  # in which they were
    unannounced: Count  # how many of them upstream removed without an event


class RemovedFiles(Struct, frozen=True):
    """What is kept of the files that a project's page named once."""

    # Filename, or that of core metadata -> algorithm -> digest.
    hashes: Mapping[str, Mapping[str, str]] = {}
    due: Mapping[Hour, tuple[PublicKey, ...]] = {}  # hour (`layout.hour`) -> what is deleted then
    booked: tuple[Booked, ...] = ()  # of the last days

    def is_booked(self, digest: str, now: float) -> bool:
        """Return whether the loss of the same files was booked within a day."""
        first, last = layout.hour(now - WINDOW), layout.hour(now)
        return any(each.digest == digest and first <= each.hour <= last for each in self.booked)

    def unannounced(self, digest: str, now: float) -> int:
        """Return how many other files the project has lost in the last days without an event."""
        first, last = layout.hour(now - _REMEMBERED), layout.hour(now)
        return sum(
            each.unannounced
            for each in self.booked
            if each.digest != digest and first <= each.hour <= last
        )

    @property
    def undeleted(self) -> frozenset[Key]:
        """What may still be stored."""
        return frozenset(key for keys in self.due.values() for key in keys)

    def without(self, hours: Collection[str]) -> RemovedFiles:
        """Return the same without what is due at the hours."""
        due = {hour: keys for hour, keys in self.due.items() if hour not in hours}
        return RemovedFiles(self.hashes, due, self.booked)

    def adding(
        self,
        hashes: Mapping[str, Mapping[str, str]],
        due: str,
        keys: Iterable[Key],
        booked: Booked | None,
    ) -> RemovedFiles:
        """Return the same with more files, the keys that are due at an hour, and their booking."""
        keys = {*keys, *self.due.get(due, ())}
        recent = self.booked
        if booked is not None:
            recent = (*recent[-_MAX_BOOKED:], booked)
        return RemovedFiles(
            {**self.hashes, **hashes},
            {**self.due, due: tuple(sorted(keys))} if keys else self.due,
            recent,
        )


class _Mark(Struct, frozen=True):
    """Nothing: the key says it all."""


def latest_deletion(now: float, delay: float) -> str:
    """Return the last hour for which files are due that are deleted after a delay, in seconds.

    A later one comes from a clock that is ahead, or from a longer delay.
    """
    return layout.hour(now + delay + 2 * _HOUR)


async def read_removed_files(
    project: NormalizedName, storage: Storage
) -> tuple[RemovedFiles, str | None]:
    """Return what is kept of the project's removed files, and its etag; None: there is nothing.

    If it is damaged, such a file may come back with other bytes, and undeleted ones stay.
    """
    key = layout.removed_files(project)
    removed, etag = await read_or_set_aside(key, RemovedFiles, storage)
    return removed or RemovedFiles(), etag


async def keep_removed_files(  # noqa: PLR0913, PLR0917 (what is kept)
    project: NormalizedName,
    files: Iterable[MirroredFile],
    keys: Collection[Key],
    delete_at: float,
    booked: Booked | None,
    storage: Storage,
) -> None:
    """Keep the hashes of files that the project's page is about to stop naming, and their booking.

    The `keys` are due for deletion in the first hour after `delete_at`, in seconds since the epoch.

    Raises:
        Conflict: another job keeps some too.
    """
    hashes = known_hashes(each.file for each in files if not layout.may_change(each.file.filename))
    if not hashes and not keys and booked is None:
        return
    due = layout.hour(delete_at + _HOUR)
    before, etag = await read_removed_files(project, storage)
    removed = before.adding(hashes, due, keys, booked)
    if removed != before:
        await _write(project, removed, etag, storage)
    if keys:
        await storage.write(layout.deletion(due, project), render(_Mark()))


async def reschedule(  # noqa: PLR0913, PLR0917 (what is kept)
    project: NormalizedName,
    removed: RemovedFiles,
    hours: Collection[str],
    delete_at: float,
    etag: str | None,
    storage: Storage,
) -> None:
    """Delete what is due at the hours in the first hour after `delete_at` instead.

    `removed` was read with that etag.

    Raises:
        Conflict: another job has changed it since.
    """
    if keys := {key for hour in hours for key in removed.due.get(hour, ())}:
        due = layout.hour(delete_at + _HOUR)
        await storage.write(layout.deletion(due, project), render(_Mark()))
        moved = removed.without(hours).adding({}, due, keys, None)
        await _write(project, moved, etag, storage)
    await storage.delete([layout.deletion(hour, project) for hour in hours])


async def forget_deleted(
    project: NormalizedName,
    removed: RemovedFiles,
    hours: Collection[str],
    etag: str | None,
    storage: Storage,
) -> None:
    """Forget what was due at the hours, once it is deleted.

    `removed` was read with that etag.

    Raises:
        Conflict: another job has changed it since.
    """
    await storage.delete([layout.deletion(hour, project) for hour in hours])
    left = removed.without(hours)
    if left != removed:
        await _write(project, left, etag, storage)


async def _write(
    project: NormalizedName, removed: RemovedFiles, etag: str | None, storage: Storage
) -> None:
    key, body = layout.removed_files(project), render(removed)
    await replace_object(key, body, etag, storage)
