"""One job: its project is brought in step with upstream.

The mirror's own JSON page is the manifest: what it names is stored and verified. It is
published last and replaced only as it was read, so that a job can be killed anywhere and done
again.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from frumious.model import layout
from frumious.model.jobs import AllowedRemoval, Job, Outcome, Result
from frumious.simple import render
from frumious.state.manifest import Manifest, read_html_page, read_manifest
from frumious.storage.protocol import Conflict
from frumious.syncing.blobs import stored_files
from frumious.syncing.comparison import check_losses, compare
from frumious.syncing.deletion import delete_files
from frumious.syncing.page_builder import PreviousPublication, build_page
from frumious.syncing.page_publisher import delete_other_names, publish_pages, tidy_pages
from frumious.syncing.removal import remove_project, unfinished_removal
from frumious.syncing.transfer import Attempt, store_blobs
from frumious.upstream.upstream import StalePage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.pages import ProjectPage
    from frumious.simple.values import ParsedPage

logger = logging.getLogger(__name__)

_RACES = 3  # lost in a row before the job is left to a later try


async def sync_project(job: Job, mirror: Mirror, attempt: Attempt | None = None) -> Result:
    """Bring one project in step with upstream.

    `attempt` says what is known of earlier tries, and is told of each file that is stored.

    Raises:
        StalePage: upstream's CDN has not reached `job.serial` yet.
        UpstreamUnavailable: upstream did not answer in time.
        StorageUnavailable: the storage did not.
        InvalidPage, TooLarge, HostRefused: upstream's answer is no project page.
        MassLoss: upstream's page lacks most of the files, and no event says why.
        Conflict: others publish the same project again and again.
    """
    attempt = attempt or Attempt()
    for _ in range(_RACES):
        try:
            return await _sync_once(job, mirror, attempt)
        except Conflict:
            logger.info("race for a project page lost", extra={"project": job.project})
            attempt.resuming = True
    msg = f"others replaced the page of {job.project!r} {_RACES} times in a row"
    raise Conflict(msg)


async def _sync_once(job: Job, mirror: Mirror, attempt: Attempt) -> Result:
    manifest = await read_manifest(job.project, mirror)
    held = manifest.page if manifest is not None else None
    if manifest is None and job.migrating:
        held = await read_html_page(job.project, mirror)
    if not job.named and not mirror.selection.wants(job.project):
        return await remove_project(job, held, mirror, attempt.open_runs)
    parsed = await _ask_upstream(job, held, mirror, attempt)
    if parsed is None:
        return await remove_project(job, held, mirror, attempt.open_runs)

    selected = replace(parsed, page=mirror.selection.select(job.project, parsed.page))
    change = compare(job.project, selected, held, mirror.config, mirror.fingerprint(job.project))
    if change.new:
        sizes = (blob.expected.size or 0 for blob in change.new if blob.expected is not None)
        new = {"new_files": len(change.new), "new_bytes": sum(sizes)}
        logger.debug("project selected", extra={"project": job.project, **new})
    failed = await store_blobs(job.project, change.new, mirror, attempt)
    before = await _before(job, held, mirror, attempt)
    mine = before is not None and before.run == job.run
    # Whoever was here before may have left no result that counts: then it is told again.
    untold = (
        before if mine or job.recovering or (before and before.run in attempt.open_runs) else None
    )
    page = build_page(change, failed, job, held, mirror.config, untold)
    if manifest is not None and _says_the_same(manifest, page):
        if _published_by(manifest.page, job):
            page = replace(page, publication=manifest.page.publication)
            await tidy_pages(job.project, page, mirror)
            await _delete_left_over(job.project, page, mirror)
            return _result(job, page)
        # An earlier try that was cut off may have written HTML: then all is published again.
        if not attempt.resuming:
            await delete_other_names(job.project, page, mirror)
            return _result(job, manifest.page)
    await _keep_legacy_json(job.project, mirror)
    left = before.removed if before is not None and not mine else ()
    await publish_pages(job.project, page, manifest, left, mirror)
    await tidy_pages(job.project, page, mirror)
    await _delete_left_over(job.project, page, mirror)
    return _result(job, page)


async def _ask_upstream(
    job: Job, held: ProjectPage | None, mirror: Mirror, attempt: Attempt
) -> ParsedPage | None:
    """Return upstream's page, once it is believed; None where the project is gone.

    Raises:
        StalePage: it is older than the job, or than one of the mirror's own.
        MassLoss: it lacks most of the files, and no event says why.
    """
    at_least = max(job.serial, (held and held.serial) or 0)
    if attempt.resuming:  # an earlier try may have shown a later page, in HTML alone
        shown = await read_html_page(job.project, mirror)
        at_least = max(at_least, (shown and shown.serial) or 0)
    parsed = await mirror.upstream.project_page(job.project, at_least=at_least)
    if (
        parsed is None
        and held is None
        and job.serial
        and job.allowed_removal < AllowedRemoval.PROJECT
    ):
        msg = f"upstream has no page of {job.project!r} yet, and serial {job.serial} is due"
        raise StalePage(msg)
    check_losses(job, parsed.page if parsed is not None else None, held)
    return parsed


def _says_the_same(manifest: Manifest, page: ProjectPage) -> bool:
    """Say whether publishing `page` would tell readers nothing new.

    Serials do not tell: projects are archived, and files get core metadata, without an event.
    """
    before, now = manifest.page.publication, page.publication
    if before is None or now is None:
        return False
    as_before = replace(now, run=before.run, added=before.added, removed=before.removed)
    if as_before != before:
        return False
    return render.project_page_json(replace(page, publication=before)) == manifest.stored.body


async def _before(
    job: Job, held: ProjectPage | None, mirror: Mirror, attempt: Attempt
) -> PreviousPublication | None:
    """Return what the last job of the project did: whoever publishes anew takes its place.

    The page says it, or the tombstone of a project that was created anew; that is looked for
    where there may be one that matters.
    """
    before: PreviousPublication | None = None
    if held is not None and held.publication is not None:
        publication = held.publication
        before = PreviousPublication(publication.run, publication.added, publication.removed)
    if job.recovering or (held is None and (attempt.resuming or job.allowed_removal)):
        removal = await unfinished_removal(job.project, mirror)
        if before is None or removal is None:
            return before or removal
        return replace(before, removed={*before.removed, *removal.removed})
    return before


async def _keep_legacy_json(project: NormalizedName, mirror: Mirror) -> None:
    """Store upstream's legacy JSON where it is wanted; upstream has none of empty projects."""
    if not mirror.config.json:
        return
    body = await mirror.upstream.legacy_json(project)
    if body is None:
        await mirror.storage.delete(layout.legacy_json(project))
        return
    for key in layout.legacy_json(project):
        await mirror.storage.write(key, body)


async def _delete_left_over(project: NormalizedName, page: ProjectPage, mirror: Mirror) -> None:
    """Delete what the page no longer names, also where an earlier try did not come to it."""
    if page.publication is not None:
        await delete_files(project, page.publication.removed, mirror)


def _result(job: Job, page: ProjectPage) -> Result:
    """Tell from the published page what the job did: the same each time it is asked.

    A project that lagged behind may have been published by a job whose result came too late to
    count: what that one did is told now, perhaps twice, but never lost.
    """
    publication = page.publication
    refused = publication.refused if publication is not None else {}
    files = stored_files(page)
    unchanged = Result(
        project=job.project,
        outcome=Outcome.UNCHANGED,
        name=page.name,
        serial=page.serial,
        listed=not page.quarantined,
        files=len(files),
        bytes_=sum(file.size or 0 for file in files),
        error=_refusals(refused) if refused else None,
    )
    if publication is None or not (job.recovering or _published_by(page, job)):
        return unchanged
    added = frozenset(publication.added)
    return replace(
        unchanged,
        outcome=Outcome.QUARANTINED if page.quarantined else Outcome.UPDATED,
        added=publication.added,
        added_bytes=sum(f.size or 0 for f in page.files if layout.file_key(f) in added),
        removed=publication.removed,
    )


def _published_by(page: ProjectPage, job: Job) -> bool:
    return page.publication is not None and page.publication.run == job.run


def _refusals(refused: Mapping[str, str]) -> str:
    first = next(iter(refused.values()))
    more = f" (and {len(refused) - 1} more files)" if len(refused) > 1 else ""
    return f"{first}{more}"
