"""A snapshot is deleted, with the files that nothing else names.

Its entry goes last, so that a command that was killed is finished by the same command.
"""

from __future__ import annotations

import logging
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.concurrency import run_all
from frumious.model import layout
from frumious.model.snapshots import (
    KEPT_PAGES,
    SNAPSHOT_PAGES,
    Snapshots,
    kept_page_key,
    kept_project,
    snapshot_key,
)
from frumious.simple import kept_page
from frumious.simple.values import InvalidPage
from frumious.snapshots.errors import SnapshotError, find
from frumious.state.objects import LedgerCorrupt
from frumious.state.removed_files import keep_removed_files, read_removed_files
from frumious.state.snapshot_status import publish_snapshots
from frumious.state.snapshots import change_snapshots, read_kept_page
from frumious.storage.protocol import delete_all
from frumious.syncing.deletion import deletable_keys, named_keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.types import Key
    from frumious.snapshots.readers import Readers

logger = logging.getLogger(__name__)

_FORMS: Final = (layout.HTML, layout.V1_HTML, layout.V1_JSON)


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a snapshot had of its own."""

    pages: int
    files: int  # of releases, that nothing else names
    later: bool  # the next runs delete the files


async def delete_snapshot(name: str, mirror: Mirror, readers: Readers, *, alone: bool) -> Deleted:
    """Delete a snapshot, or finish its deletion.

    Unless `alone`, jobs of the projects delete the files: at the same time, one of them may publish
    a page that names such a file again.

    Raises:
        SnapshotError: there is none of this name, or readers get it as the live index.
        LedgerCorrupt: nobody knows which snapshots there are.
    """

    def mark(known: Snapshots) -> Snapshots:
        snapshot = find(name, known)
        if known.served == name:
            msg = f"readers get {name!r} as the live index: 'frumious rollback --live' comes first"
            raise SnapshotError(msg)
        deleting = replace(snapshot, deleting=True)
        return replace(known, snapshots={**known.snapshots, name: deleting})

    await change_snapshots(mark, mirror.storage)
    await publish_snapshots(mirror.storage)
    mirror.pages.snapshots.forget()
    await readers.withdraw(name)
    await mirror.storage.delete([snapshot_key(name, layout.root_page(form)) for form in _FORMS])
    pages = files = 0
    async for projects in _batches(name, mirror):
        freed = await run_all(_free(name, project, mirror, alone=alone) for project in projects)
        await mirror.storage.delete([kept_page_key(name, project) for project in projects])
        pages += len(projects)
        files += sum(freed)
    for prefix in (f"{SNAPSHOT_PAGES}{name}/", f"{KEPT_PAGES}{name}/"):
        await delete_all(prefix, mirror.storage)
    await change_snapshots(lambda known: _without(name, known), mirror.storage)
    return Deleted(pages, files, later=not alone)


async def kept_projects(name: str, mirror: Mirror) -> AsyncIterator[NormalizedName]:
    """Yield the projects for which a snapshot keeps a page, by a listing."""
    async with aclosing(mirror.storage.list(f"{KEPT_PAGES}{name}/")) as entries:
        async for entry in entries:
            project = kept_project(name, entry.key)
            if project is not None:
                yield project


async def _batches(name: str, mirror: Mirror) -> AsyncIterator[Sequence[NormalizedName]]:
    """Yield these projects, as many at once as there are workers."""
    batch: list[NormalizedName] = []
    async for project in kept_projects(name, mirror):
        batch.append(project)
        if len(batch) == mirror.config.workers:
            yield batch
            batch = []
    if batch:
        yield batch


async def _free(name: str, project: NormalizedName, mirror: Mirror, *, alone: bool) -> int:
    """Delete the files that only this snapshot shows, and return how many that are."""
    try:
        keys = await _alone(name, project, mirror)
    except (LedgerCorrupt, InvalidPage, layout.UnsafeName) as error:
        logger.warning("%s: its files stay; 'frumious verify --delete-orphans' finds them", error)
        return 0
    if keys and alone:
        await mirror.storage.delete(sorted(keys))
    elif keys:
        now = mirror.clock.now()
        await keep_removed_files(project, (), keys, now, None, mirror.storage)
    return layout.count_files(keys)


async def _alone(name: str, project: NormalizedName, mirror: Mirror) -> frozenset[Key]:
    """Return the keys that nothing but the snapshot names, and that belong to the project.

    What waits for its deletion is deleted at its time.
    """
    kept = await read_kept_page(name, project, mirror.storage)
    if kept is None:
        return frozenset()
    keys = kept_page.shown_keys(name, project, kept)
    keys = keys.difference(await named_keys(project, keys, mirror.pages))
    if keys:
        removed, _ = await read_removed_files(project, mirror.storage)
        keys -= removed.undeleted
    return await deletable_keys(project, keys, mirror.pages)


def _without(name: str, known: Snapshots) -> Snapshots:
    snapshots = {other: each for other, each in known.snapshots.items() if other != name}
    return replace(known, snapshots=snapshots)
