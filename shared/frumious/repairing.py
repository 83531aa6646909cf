"""Repairs on one machine: an audit's findings become jobs, and these are done here."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar, cast

from msgspec.structs import replace

from frumious.auditing.repair import outcomes, prepare
from frumious.auditing.root_check import restore_root
from frumious.auditing.snapshot_check import repair_snapshots
from frumious.finalizing.root_index import publish_root_index, root_index_etag
from frumious.local import run_here
from frumious.model.audits import Kind
from frumious.model.blobs import mirrored_files
from frumious.model.pages import DelistedProject, ListedProject
from frumious.planning.plan import plan_changes
from frumious.state.page_store import UnreadableManifest
from frumious.storage.protocol import Conflict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from packaging.utils import NormalizedName

    from frumious.auditing.repair import Repaired
    from frumious.local import Done
    from frumious.mirror import Mirror
    from frumious.model.audits import Finding
    from frumious.model.jobs import Result

T = TypeVar("T")

_ATTEMPTS: Final = 5


async def repair_here(
    findings: Sequence[Finding],
    mirror: Mirror,
    on_progress: Callable[[int, Result | None], None],
    *,
    deep: bool,
) -> tuple[list[Repaired], Done]:
    """Repair what an audit has found, `deep` or not, and look at it again.

    Raises:
        StorageUnavailable, StorageRefused, LedgerCorrupt: as for `run_here`.
    """
    in_snapshots = [each for each in findings if each.kind is Kind.DAMAGED_SNAPSHOT]
    damage = [each for each in findings if each.kind.is_damage and each not in in_snapshots]
    await restore_root(mirror)
    plan = await _persist(lambda: prepare(damage, mirror, deep=deep))
    done = await run_here(plan, mirror, on_progress)
    await repair_root(damage, mirror)
    if any(each.kind is Kind.OLD_ROOT for each in damage):
        done = await _compare_with_upstream(mirror, on_progress) or done
    repaired = await outcomes(damage, mirror)
    return [*repaired, *await repair_snapshots(in_snapshots, mirror)], done


async def _compare_with_upstream(
    mirror: Mirror, on_progress: Callable[[int, Result | None], None]
) -> Done | None:
    """Compare all projects with upstream: pages may have been put back together with the index."""
    await mirror.ledger.change_cursor(
        lambda cursor: replace(cursor, reconciled=0.0, root_etag="", revision=cursor.revision + 1)
    )
    plan = await plan_changes(mirror)
    return None if plan.stopped is not None else await run_here(plan, mirror, on_progress)


async def repair_root(findings: Collection[Finding], mirror: Mirror) -> None:
    """Publish the root index by the pages that projects have, if it is part of the findings.

    Raises:
        Conflict: finalizers publish it again and again.
    """
    root = {Kind.WRONG_ROOT, Kind.OLD_ROOT, Kind.UNLISTED, Kind.WRONG_ENTRY, Kind.MISSING_PAGE}
    concerned = [each for each in findings if each.kind in root]
    if concerned:
        await _persist(lambda: _publish(concerned, mirror))


async def _persist(attempt: Callable[[], Awaitable[T]]) -> T:
    """Do what may lose a race against jobs or finalizers, some times."""
    for _ in range(_ATTEMPTS - 1):
        with suppress(Conflict):
            return await attempt()
    return await attempt()


async def _publish(findings: Collection[Finding], mirror: Mirror) -> None:
    pages = mirror.pages
    etag = await root_index_etag(pages)
    cursor = await mirror.ledger.cursor()
    projects = {cast("NormalizedName", each.project) for each in findings if each.project}
    if any(each.key == pages.layout.root_manifest and not each.project for each in findings):
        # It was damaged or missing; a finalizer makes it again without serials.
        projects |= {project async for project in pages.stored_projects()}
    changes = {project: await _entry(project, mirror) for project in sorted(projects)}
    totals = await publish_root_index(
        {project: change for project, change in changes.items() if change is not None},
        cursor.mirror_serial,
        pages,
        resets=cursor.resets,
        replacing=etag,
    )
    await mirror.ledger.change_cursor(
        lambda cursor: replace(
            cursor, projects=totals.projects, files=totals.files, bytes_=totals.bytes_
        )
    )


async def _entry(project: NormalizedName, mirror: Mirror) -> ListedProject | DelistedProject | None:
    """Return what the root index should say of a project; None: nobody knows."""
    try:
        manifest = await mirror.pages.read_manifest(project)
    except UnreadableManifest:
        return None
    if manifest is None:
        return DelistedProject(None, rewinding=True)
    page = manifest.page
    if page.quarantined:
        return DelistedProject(page.serial, rewinding=True)
    files = mirrored_files(project, page)
    bytes_ = sum(each.file.size or 0 for each in files)
    return ListedProject(page.name, page.serial, len(files), bytes_, rewinding=True)
