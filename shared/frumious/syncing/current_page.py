"""What the mirror has of a project when its job begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.model.blobs import known_hashes, mirrored_files
from frumious.model.pages import ProjectPage
from frumious.state.objects import set_aside
from frumious.state.page_store import Manifest, UnreadableManifest
from frumious.state.removed_files import RemovedFiles, read_removed_files
from frumious.syncing.comparison import CurrentPage

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.jobs import Job
    from frumious.state.page_store import PageStore
    from frumious.storage.protocol import Storage


async def read_manifest(job: Job, pages: PageStore) -> tuple[Manifest | None, ProjectPage | None]:
    """Return the manifest, and the page that says which files the mirror has.

    Instead of a damaged manifest, that is the page which is written before it. If there is none,
    files are found by their keys, and the project is not removed without an event.
    """
    try:
        manifest = await pages.read_manifest(job.project)
    except UnreadableManifest as error:
        await set_aside(error.key, error.stored, error, pages.storage)
        nothing = ProjectPage(name=job.project)
        manifest = Manifest(nothing, error.key, error.stored, damaged=True)
        return manifest, await pages.read_first_page(job.project) or nothing
    if manifest is None and job.migrating:
        return None, await pages.read_html_page(job.project)
    return manifest, manifest.page if manifest is not None else None


def has_moved(project: NormalizedName, current: ProjectPage | None, mirror: Mirror) -> bool:
    """Return whether a project became private since its page was published, or the reverse."""
    return current is not None and current.is_private != mirror.selection.private.has(project)


async def read_current_page(
    project: NormalizedName,
    page: ProjectPage,
    current: ProjectPage | None,
    mirror: Mirror,
    *,
    moved: bool,
) -> CurrentPage:
    """Return what the mirror has of a project, as far as `page`, the new one, concerns it.

    Nothing counts as known if the project `moved`: if it became private, or the reverse.
    """
    files = mirrored_files(project, current)
    if moved:
        return CurrentPage(current, (), RemovedFiles(), foreign=files)
    removed = await _relevant_removed_files(project, page, current, mirror.storage)
    return CurrentPage(current, files, removed)


async def _relevant_removed_files(
    project: NormalizedName, page: ProjectPage, current: ProjectPage | None, storage: Storage
) -> RemovedFiles:
    """Return what is kept of removed files, if upstream's page concerns them.

    It does if a file on it may be one of them, or if it forbids to offer any of them.
    """
    if current is not None:
        publication = current.publication
        if publication is not None and not publication.removed_files:
            return RemovedFiles()
        new = known_hashes(page.files).keys() - known_hashes(current.files).keys()
        if not (page.quarantined or new):
            return RemovedFiles()
    removed, _ = await read_removed_files(project, storage)  # a project may be created again
    return removed
