"""The root index from the project pages alone, where it is damaged or missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frumious.concurrency import run_all
from frumious.finalizing.root_index import publish_root_index, root_index_etag
from frumious.model.pages import ListedProject
from frumious.simple.values import InvalidPage
from frumious.state.objects import LedgerCorrupt, NewerFormat, set_aside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.state.page_store import PageStore

_AT_ONCE: Final = 64  # pages that are read


async def rebuild_root_index(mirror: Mirror) -> int:
    """Publish a root index of all projects that have a page; return how many these are.

    Quarantined projects are not listed. A damaged page is left to its project's next job. A copy of
    a damaged root index is kept.

    Raises:
        Conflict: a finalizer has written the root index since.
    """
    pages = mirror.pages
    etag = await root_index_etag(pages)
    key, stored = await pages.read_root_index()
    if stored is not None:
        await set_aside(key, stored, InvalidPage(f"{key!r} is damaged"), mirror.storage)
        await mirror.storage.delete([key])
        etag = None
    listed: dict[NormalizedName, ListedProject] = {}
    batch: list[NormalizedName] = []
    async for project in pages.stored_projects():
        batch.append(project)
        if len(batch) == _AT_ONCE:
            listed |= await _read(batch, pages)
            batch.clear()
    listed |= await _read(batch, pages)
    try:
        cursor = await mirror.ledger.cursor()
        serial, resets = cursor.mirror_serial, cursor.resets
    except (LedgerCorrupt, NewerFormat):
        serial, resets = None, 0
    await publish_root_index(listed, serial, pages, resets=resets, replacing=etag)
    return len(listed)


async def _read(
    projects: Sequence[NormalizedName], pages: PageStore
) -> dict[NormalizedName, ListedProject]:
    async def read(project: NormalizedName) -> ListedProject | None:
        try:
            manifest = await pages.read_manifest(project)
        except InvalidPage:
            return ListedProject(project, None)
        if manifest is None or manifest.page.quarantined:
            return None
        page = manifest.page
        size = sum(file.size or 0 for file in page.files)
        return ListedProject(page.name, page.serial, len(page.files), size)

    entries = await run_all(map(read, projects))
    return {
        project: entry
        for project, entry in zip(projects, entries, strict=True)
        if entry is not None
    }
