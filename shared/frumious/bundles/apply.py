"""Bring a mirror in step with another one: files first, then pages, then the root index.

Everything can be done twice, and be killed anywhere. What a page stops naming is kept in
`state/removed/` before the page is replaced, so that it is deleted in any case.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from frumious.auditing.listing import objects_of
from frumious.bundles.builds import named_builds, stored_builds
from frumious.bundles.errors import InvalidBundle, RemovalsWait
from frumious.bundles.manifest import is_page, site_keys
from frumious.finalizing.root_index import publish_root_index, read_totals, root_index_etag
from frumious.finalizing.root_shards import publish_shards
from frumious.finalizing.status import Freshness, publish_status
from frumious.model import layout
from frumious.model.blobs import keys_of, mirrored_files
from frumious.model.checksums import FileStream
from frumious.model.release_json import stored_releases
from frumious.pythons.published import LIST
from frumious.simple import gzipped, parse_json, root_index
from frumious.simple.values import InvalidPage, InvalidValue, check_name
from frumious.state.page_store import UnreadableManifest
from frumious.state.removed_files import keep_removed_files
from frumious.state.replacing import replace_object
from frumious.syncing.deletion import delete_due
from frumious.syncing.snapshot_pages import SnapshotPages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from packaging.utils import NormalizedName

    from frumious.bundles.manifest import Head
    from frumious.mirror import Mirror
    from frumious.model.checksums import ExpectedContent
    from frumious.model.pages import DelistedProject, ListedProject, ProjectPage
    from frumious.model.types import Key

_HOUR: Final = 3600.0
_PRIVATE: Final = "_frumious"  # in `meta` of the root index


@dataclass(frozen=True, slots=True)
class Applier:
    """Writes what another mirror has into this one."""

    mirror: Mirror
    resuming: bool  # files may be stored already
    keeps_newer: bool = False  # pages with a higher serial stay

    async def store_file(
        self, key: Key, expected: ExpectedContent, chunks: AsyncIterator[bytes]
    ) -> None:
        """Store a file, its core metadata or its provenance, if its bytes are right.

        Raises:
            WrongBytes: they are not.
        """
        storage = self.mirror.storage
        if self.resuming:
            head = await storage.head(key)
            if head is not None and head.sha256 is not None and head.sha256 == expected.sha256:
                return
        await storage.store(key, FileStream(chunks, expected, f"the copy of {key}"))

    async def publish(
        self, project: NormalizedName, pages: Mapping[Key, bytes], files: frozenset[Key]
    ) -> None:
        """Publish a project's pages, the manifest last; `files` are stored.

        Raises:
            InvalidBundle: the page is invalid, or names a file that is not stored.
            Conflict: another process has published the project.
        """
        mirror, storage = self.mirror, self.mirror.storage
        key = mirror.pages.layout.manifest(project)
        try:
            page = parse_json.manifest(pages[key], key)
            check_name(page.name, project)
            needed = keys_of(mirrored_files(project, page))
        except (InvalidPage, InvalidValue, layout.UnsafeName, ValueError) as error:
            msg = f"the page of {project} is invalid: {error}"
            raise InvalidBundle(msg) from error
        current, etag = await self._current(project)
        if self.keeps_newer and current is not None and (current.serial or 0) > (page.serial or 0):
            return
        own = mirrored_files(project, current)
        for blob in sorted(needed - files - keys_of(own)):
            if await storage.head(blob) is None:
                msg = f"the page of {project} names {blob!r}, which neither bundle nor mirror has"
                raise InvalidBundle(msg)
        await self._schedule(project, current, needed)
        await self._snapshots(project).keep(page)
        for each, body in pages.items():
            if each != key:
                await storage.write(each, body)
        if mirror.pages.layout.has_json_variants:
            variant = mirror.pages.layout.variant(mirror.pages.layout.page(project, layout.V1_JSON))
            await storage.write(variant, gzipped.compress(pages[key]))
        await replace_object(key, pages[key], etag, storage)
        if etag is not None:
            await self._delete_other_pages(project, current, pages)

    async def remove(self, project: NormalizedName) -> None:
        """Remove a project: pages first, then files."""
        current, _ = await self._current(project)
        await self._schedule(project, current, frozenset())
        await self._snapshots(project).keep(None)
        await self._delete_other_pages(project, current, {})

    async def publish_site(self, objects: Mapping[Key, bytes]) -> None:
        """Publish the root index, the status, and the list of builds last.

        Builds that it no longer names are deleted.
        """
        mirror, storage = self.mirror, self.mirror.storage
        builds = await stored_builds(storage) if LIST in objects else {}
        page_layout = mirror.pages.layout
        root = page_layout.root_manifest
        if page_layout.has_json_variants:
            variant = page_layout.variant(layout.root_page(layout.V1_JSON))
            await storage.write(variant, await _root_variant(objects[root], root))
        html = [key for key in page_layout.root_html if key in objects]
        for key in html:
            await storage.write(key, objects[key])
        for key in html if page_layout.root_variants else ():
            compressed = await asyncio.to_thread(gzipped.compress, objects[key])
            await storage.write(page_layout.variant(key), compressed)
        await publish_shards(objects[root], mirror.pages)
        for key in site_keys(page_layout):
            if key in objects and key not in html:
                stored = await storage.read(key) if key == root else None
                if stored is None:
                    await storage.write(key, objects[key])
                elif stored.body != objects[key]:
                    await storage.write(key, objects[key], replacing=stored.etag)
        await storage.delete(
            sorted(builds.keys() - named_builds(objects.get(LIST)).keys()) if builds else ()
        )

    async def list_projects(
        self, changes: Mapping[NormalizedName, ListedProject | DelistedProject], head: Head
    ) -> None:
        """Merge named projects into the mirror's own root index, and publish its status."""
        pages = self.mirror.pages
        etag = await root_index_etag(pages)
        totals = await publish_root_index(changes, head.serial, pages, replacing=etag)
        freshness = Freshness(head.serial, None, head.created, 0.0)
        now = self.mirror.clock.now()
        await publish_status([], freshness, totals, {}, pages, now=now, changed=True)

    async def delete_files(self) -> None:
        """Delete the files that no page names any more."""
        now = self.mirror.clock.now()
        hours: dict[NormalizedName, set[str]] = {}
        async for entry in self.mirror.storage.list(layout.DELETIONS):
            found = layout.deletion_of(entry.key)
            if found is not None and found[0] <= layout.hour(now):
                hours.setdefault(found[1], set()).add(found[0])
        for project, due in hours.items():
            await delete_due(project, due, now, self.mirror.pages)

    def _snapshots(self, project: NormalizedName) -> SnapshotPages:
        return SnapshotPages(project, self.mirror.pages, self.mirror.config)

    async def _current(self, project: NormalizedName) -> tuple[ProjectPage | None, str | None]:
        """Return the project's page, and its ETag; a damaged page is replaced."""
        try:
            manifest = await self.mirror.pages.read_manifest(project)
        except UnreadableManifest as error:
            return None, error.stored.etag
        if manifest is None:
            return None, None
        return manifest.page, manifest.stored.etag

    async def _schedule(
        self, project: NormalizedName, current: ProjectPage | None, needed: frozenset[Key]
    ) -> None:
        """Keep which files the page stops naming; they are deleted at once, after all pages.

        Raises:
            Conflict: another process keeps some as well; an import that is done again keeps these.
        """
        own = mirrored_files(project, current)
        removed = keys_of(own) - needed
        if removed:
            dropped = [each for each in own if each.key in removed]
            due = self.mirror.clock.now() - _HOUR
            storage = self.mirror.storage
            await keep_removed_files(project, dropped, removed, due, None, storage)

    async def _delete_other_pages(
        self,
        project: NormalizedName,
        current: ProjectPage | None,
        pages: Mapping[Key, bytes],
    ) -> None:
        """Delete the pages that the other mirror does not have."""
        page_layout = self.mirror.pages.layout
        stored = {*(await objects_of(project, self.mirror)).entries, *layout.legacy_json(project)}
        stored |= stored_releases(project, current).keys()
        kept = {*pages}
        variant = page_layout.variant(page_layout.page(project, layout.V1_JSON))
        if page_layout.has_json_variants and not pages:
            stored.add(variant)
        deleted = {
            key
            for key in stored - kept
            if is_page(key, project, page_layout) or (key == variant and not pages)
        }
        await self.mirror.storage.delete(sorted(deleted))


async def check_removals(mirror: Mirror, removals: int, confirmed: int) -> None:
    """Check that so many projects may be removed.

    Raises:
        RemovalsWait: `max-removals` permits fewer, and nobody has confirmed them.
    """
    limit = mirror.config.max_removals
    if removals <= confirmed or limit.is_unlimited:
        return
    projects = (await read_totals(mirror.pages)).projects
    if removals > limit.announced(projects):
        raise RemovalsWait(removals, projects)


async def _root_variant(body: bytes, key: Key) -> bytes:
    """Compress the JSON root index as the finalizer does: without the private part."""
    meta = root_index.meta(body, key)
    meta.pop(_PRIVATE, None)
    serial = meta.pop("_last-serial")
    projects = await asyncio.to_thread(
        lambda: root_index.json_projects(root_index.batches(body, key), as_stored=True)
    )
    number = serial if isinstance(serial, int) else None
    return await asyncio.to_thread(
        lambda: gzipped.compress(root_index.json_page(projects, number, meta))
    )
