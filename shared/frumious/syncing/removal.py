"""A project that upstream no longer has is removed: pages first, then files.

The list of its files would go with its pages; a tombstone keeps it, so that a removal that was
interrupted is finished, and tells the same, when the job is done again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from frumious.model import layout
from frumious.model.jobs import Job, Outcome, Result
from frumious.syncing.blobs import stored_keys
from frumious.syncing.deletion import delete_files
from frumious.syncing.page_builder import PreviousPublication
from frumious.syncing.page_publisher import page_keys

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.pages import ProjectPage
    from frumious.model.types import Json, Key, RunId


async def remove_project(
    job: Job, held: ProjectPage | None, mirror: Mirror, open_runs: Collection[RunId]
) -> Result:
    """Remove what the mirror has of a project.

    `held` is the mirror's page; None where it has none, or has lost it in an earlier try. Of
    `open_runs` not all results may be recorded: what one of them removed is told again.
    """
    key = layout.tombstone(job.project)
    pages = [*await page_keys(job.project, mirror), *layout.legacy_json(job.project)]
    if held is not None:
        tombstone: dict[str, Json] = {
            "run": job.run,
            "serial": max(job.serial, held.serial or 0),
            "removed": [*_keys_of(job.project, held)],
        }
        await mirror.storage.write(key, json.dumps(tombstone).encode())
    else:
        stored = await mirror.storage.read(key)
        if stored is None:
            # A job that was cut off may have written HTML alone.
            await mirror.storage.delete(pages)
            return Result(project=job.project, outcome=Outcome.ABSENT, serial=job.serial or None)
        tombstone = json.loads(stored.body)
    removed = tuple(cast("list[Key]", tombstone["removed"]))
    await mirror.storage.delete(pages)
    await delete_files(job.project, removed, mirror)
    told = job.recovering or tombstone["run"] in {job.run, *open_runs}
    return Result(
        project=job.project,
        outcome=Outcome.REMOVED if told else Outcome.ABSENT,
        name=job.project,
        serial=cast("int", tombstone["serial"]),
        removed=removed if told else (),
    )


async def unfinished_removal(project: NormalizedName, mirror: Mirror) -> PreviousPublication | None:
    """Return what the project's last removal was to delete, and may have been cut off before."""
    stored = await mirror.storage.read(layout.tombstone(project))
    if stored is None:
        return None
    tombstone = json.loads(stored.body)
    return PreviousPublication(tombstone["run"], (), tombstone["removed"])


def _keys_of(project: NormalizedName, held: ProjectPage) -> Sequence[Key]:
    """Return what the page names, and what the job that published it was to delete."""
    still_to_delete = held.publication.removed if held.publication is not None else ()
    return sorted({*stored_keys(project, held), *still_to_delete})
