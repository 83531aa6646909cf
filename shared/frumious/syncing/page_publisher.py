"""A project's pages in the storage: published, kept as older versions, deleted where outdated.

The configuration decides where pages lie and in which forms (`PageLayout`). It may have
changed: the job that publishes a project deletes what the earlier layouts left.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Self

from msgspec.structs import replace
from packaging.utils import canonicalize_name

from frumious.model import layout
from frumious.model.blobs import keys_of, mirrored_files
from frumious.model.page_layout import PageLayout, age_of_version, version_of_page
from frumious.model.types import Key
from frumious.simple import gzipped, render
from frumious.syncing.deletion import delete_files
from frumious.syncing.live_alone import LIVE_ALONE, LiveAlone
from frumious.syncing.snapshot_pages import SnapshotPages
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from packaging.utils import NormalizedName

    from frumious.config.settings import Config
    from frumious.mirror import Mirror
    from frumious.model.pages import ProjectPage
    from frumious.state.page_store import Manifest, PageStore
    from frumious.syncing.page_builder import BuiltPage
    from frumious.syncing.recovery import Attempt

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9.]+")  # as setuptools had it


class PagePublisher(Value, frozen=True):
    """Publishes the pages of one project."""

    project: NormalizedName
    pages: PageStore
    config: Config
    snapshots: SnapshotPages
    second: LiveAlone = LIVE_ALONE  # the project in the index without the cooldown

    @classmethod
    def of(cls, attempt: Attempt, mirror: Mirror) -> Self:
        """Return what publishes the project of a job."""
        project, pages, config = attempt.job.project, mirror.pages, mirror.config
        return cls(project, pages, config, SnapshotPages.of(attempt, mirror))

    @classmethod
    async def open(cls, attempt: Attempt, current: ProjectPage | None, mirror: Mirror) -> Self:
        """Return the same, with the project's page in the index without the cooldown.

        `current` is the live page, which says whether there may be one.

        Raises:
            Conflict: another job of the project is at work.
        """
        publisher = cls.of(attempt, mirror)
        publication = current.publication if current is not None else None
        if not mirror.selection.simple_all and not (publication and publication.simple_all):
            return publisher
        from frumious.syncing.simple_all import SimpleAllPage  # noqa: PLC0415 (rarely needed)

        return replace(publisher, second=await SimpleAllPage.read(attempt, current, mirror))

    async def publish(
        self, built: BuiltPage, manifest: Manifest | None, leftovers: Collection[Key]
    ) -> None:
        """Write the pages, the JSON page last: only then does the job count as done.

        Its compressed variant comes before it, like HTML: nobody may see a removed file once the
        JSON page no longer names it. Before any of them changes, snapshots keep the earlier ones.

        `leftovers` are deleted right before that, while the old JSON page still names them as
        removed; except for what one of the two pages needs.

        Raises:
            Conflict: another job has published the project since `manifest` was read.
        """
        storage, key = self.pages.storage, self.pages.layout.manifest(self.project)
        bodies = dict(self._bodies(built.page))
        body = bodies.pop(key, None) or render.project_page_json(built.page)
        if manifest is None or manifest.key != key or manifest.stored.body != body:
            await self.snapshots.keep(built.page)
        for page_key, other in bodies.items():
            await storage.write(page_key, other)
        if self.pages.layout.has_json_variants:
            await storage.write(self.pages.layout.variant(key), gzipped.compress(body))
        hidden = await self._hidden_pages(built.page, manifest)
        if hidden:
            await storage.delete(hidden)
        if leftovers:
            needed = keys_of(built.files)
            if manifest is not None:
                needed |= keys_of(mirrored_files(self.project, manifest.page))
            unneeded = [each for each in leftovers if each not in needed]
            await delete_files(self.project, unneeded, self.pages)
        if manifest is None or manifest.key != key:
            await storage.create(key, body)
        else:
            await storage.write(key, body, replacing=manifest.stored.etag)

    async def tidy(self, page: ProjectPage) -> None:
        """Do what is left once the JSON page is published; doing it twice changes nothing.

        JSON pages of earlier layouts go before any file does: as long as there is one, it is true.
        """
        former = {each.manifest(self.project) for each in await self.pages.former_layouts()}
        former.discard(self.pages.layout.manifest(self.project))
        if former:
            await self.pages.storage.delete(sorted(former))
        await self._keep_version(page)
        await self.delete_other_names(page)

    async def delete_other_names(self, page: ProjectPage) -> None:
        """Delete the HTML that bandersnatch once wrote under the name as its owners spell it.

        A JSON page under such a name is the project's own, on a file system that does not
        distinguish upper and lower case: there nothing is deleted.
        """
        if not self.config.cleanup:
            return
        storage, pages = self.pages.storage, self.pages.layout
        for name in sorted(_spellings(self.project, page)):
            if await storage.head(pages.manifest(name)) is None:
                html = (layout.HTML, layout.V1_HTML)
                await storage.delete([pages.page(name, form) for form in html])

    async def all_keys(self) -> Sequence[Key]:
        """Return every key that a page of the project may have, older versions included."""
        layouts = [self.pages.layout, *await self._earlier_layouts()]
        keys = {
            key
            for each in layouts
            for key in (*each.keys(self.project), each.manifest(self.project))
        }
        for prefix in {each.versions(self.project) for each in layouts}:
            keys.update(await self._versions(prefix))
        return sorted(keys)

    def _bodies(self, page: ProjectPage) -> Iterable[tuple[Key, bytes]]:
        """Render what readers get, the forms in the order in which they are written."""
        forms, digest_name = self.pages.layout.forms, self.config.digest_name
        for form, body in render.project_pages(page, forms, digest_name):
            yield self.pages.layout.page(self.project, form), body

    async def _hidden_pages(self, page: ProjectPage, manifest: Manifest | None) -> Collection[Key]:
        """Return the pages that readers no longer get; JSON pages, the manifests, excepted."""
        before = manifest.page.publication if manifest is not None else None
        now = page.publication
        if before is not None and now is not None and before.selection == now.selection:
            return ()
        project, current = self.project, self.pages.layout
        layouts = await self._earlier_layouts()
        manifests = {each.manifest(project) for each in layouts}
        hidden = {key for each in layouts for key in each.keys(project)} - manifests
        if manifest is not None and manifest.key != current.manifest(project):
            prefixes = {each.versions(project) for each in layouts}
            for prefix in prefixes - {current.versions(project)}:
                hidden.update(await self._versions(prefix))
        return sorted(hidden - {*current.keys(project)})

    async def _keep_version(self, page: ProjectPage) -> None:
        """Keep a copy of the page, and as many as are configured in all."""
        max_versions = self.config.keep_index_versions
        if not max_versions or page.publication is None:
            return
        prefix = self.pages.layout.versions(self.project)
        kept = {*await self._versions(prefix)}
        for key, body in self._bodies(page):
            name = version_of_page(page.serial, page.publication.run, layout.filename(key))
            version = Key(f"{prefix}{name}")
            await self.pages.storage.write(version, body)
            kept.add(version)
        ages = sorted({age for key in kept if (age := age_of_version(key)) is not None})
        old = [key for key in kept if age_of_version(key) in ages[:-max_versions]]
        if old:
            await self.pages.storage.delete(sorted(old))

    async def _versions(self, prefix: str) -> Collection[Key]:
        """Return the older versions of the project's pages: what begins with `prefix`."""
        return [
            entry.key
            async for entry in self.pages.storage.list(prefix)
            if entry.key == prefix + layout.filename(entry.key) and age_of_version(entry.key)
        ]

    async def _earlier_layouts(self) -> Sequence[PageLayout]:
        """Return how pages may have been laid out before: surely in all forms, by any program."""
        in_all_forms = PageLayout(self.pages.layout.hashed)
        return [in_all_forms, *await self.pages.former_layouts()]


def _spellings(project: NormalizedName, page: ProjectPage) -> Collection[str]:
    """Return how else the project is spelled: by its page, or at the beginning of filenames."""
    spellings = {page.name}
    for file in page.files:
        parts = file.filename.split("-")
        for end in range(1, project.count("-") + 2):
            name = "-".join(parts[:end])
            if canonicalize_name(name) == project:
                spellings.add(name)
    spellings |= {_NOT_IN_NAMES.sub("-", name) for name in spellings}
    return {name for name in spellings - {project} if canonicalize_name(name) == project}
