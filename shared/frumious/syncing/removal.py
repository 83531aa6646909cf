"""A project that upstream no longer has is removed: pages first, then files.

The list of its files would go with its pages; a tombstone keeps it, so that an interrupted removal
is finished, and reported alike, when the job is done again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.model import layout
from frumious.model.blobs import keys_of, mirrored_files
from frumious.model.jobs import Outcome, Result
from frumious.state.removed_files import keep_removed_files
from frumious.state.requirements import requirements_key
from frumious.state.tombstones import Tombstone
from frumious.syncing.deletion import delete_files, own_keys
from frumious.syncing.feed_digests import with_digests
from frumious.syncing.release_copies import all_release_keys

if TYPE_CHECKING:
    from frumious.model.pages import ProjectPage
    from frumious.state.page_store import PageStore
    from frumious.state.removed_files import Booked
    from frumious.syncing.page_publisher import PagePublisher
    from frumious.syncing.recovery import Attempt


async def remove_project(
    attempt: Attempt,
    current: ProjectPage | None,
    publisher: PagePublisher,
    now: float,
    booked: Booked | None = None,
) -> Result:
    """Remove what the mirror has of a project.

    `current` is the mirror's page; None where it has none, or an earlier attempt deleted it.
    `booked` is its loss.
    """
    job, storage = attempt.job, publisher.pages.storage
    files = [] if current is None else mirrored_files(job.project, current)
    key = layout.tombstone(job.project)
    listed = publisher.config.release_json
    releases = await all_release_keys(job.project, current, storage, listed=listed)
    pages = [*await publisher.all_keys(), *layout.legacy_json(job.project), *releases]
    if publisher.config.selection.closure is not None:
        pages.append(requirements_key(job.project))
    if current is None:
        tombstone = await Tombstone.read(key, storage)
    else:
        at_once = current.quarantined or job.quarantined or attempt.deleted
        delay = 0.0 if at_once else publisher.config.delete_after
        tombstone = await _tombstone(attempt, current, publisher.pages, delayed=delay > 0)
        await tombstone.write(key, storage)
        scheduled = {*tombstone.removed} if delay else set()
        if current.publication is not None and current.publication.delayed:
            scheduled -= {*current.publication.removed} - keys_of(files)
        dropped = [*files, *publisher.second.own]
        await keep_removed_files(job.project, dropped, scheduled, now + delay, booked, storage)
    await publisher.second.remove()
    await publisher.snapshots.keep(None)
    await storage.delete(pages)  # without a tombstone: an interrupted job may have written HTML
    if tombstone is None:
        return Result(project=job.project, outcome=Outcome.ABSENT, serial=job.serial or None)
    if not tombstone.delayed:
        await delete_files(job.project, tombstone.removed, publisher.pages)
    report = tombstone.run == job.run or attempt.may_report(tombstone.run)
    result = Result(
        project=job.project,
        outcome=Outcome.REMOVED if report else Outcome.ABSENT,
        name=job.project,
        # The tombstone may be of an earlier removal: the project came back, and left unmirrored.
        serial=max(tombstone.serial, job.serial),
        removed=tombstone.removed if report else (),
    )
    return with_digests(result, None, files, publisher.config)


async def _tombstone(
    attempt: Attempt, page: ProjectPage, pages: PageStore, *, delayed: bool
) -> Tombstone:
    """Return what names the page's files, and those that its own job was to delete."""
    job = attempt.job
    files = keys_of(mirrored_files(job.project, page))
    undeleted = page.publication.removed if page.publication is not None else ()
    removed = await own_keys(job.project, {*files, *undeleted}, pages)
    serial = max(job.serial, page.serial or 0)
    return Tombstone(
        job.run, serial, tuple(sorted(removed)), delayed=delayed, by_name=attempt.deleted
    )
