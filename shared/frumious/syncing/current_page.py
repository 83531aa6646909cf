"""What the mirror has of a project when its job begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.model.blobs import mirrored_files
from frumious.state.removed_files import RemovedFiles, read_removed_files
from frumious.syncing.comparison import CurrentPage

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.pages import ProjectPage
    from frumious.storage.protocol import Storage


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
        named = {file.filename for file in current.files}
        publication = current.publication
        if publication is not None and not publication.removed_files:
            return RemovedFiles()
        if not page.quarantined and named.issuperset(file.filename for file in page.files):
            return RemovedFiles()
    removed, _ = await read_removed_files(project, storage)  # a project may be created again
    return removed
