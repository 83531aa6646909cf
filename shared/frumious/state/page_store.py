"""The mirror's own pages, as they are stored: by this configuration or by an earlier one."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from frumious.model import layout
from frumious.model.pages import ListedProject
from frumious.simple import gzipped, parse_html, parse_json, root_index
from frumious.simple.values import InvalidPage, InvalidValue, check_name
from frumious.state.snapshots import KnownSnapshots
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from packaging.utils import NormalizedName

    from frumious.model.page_layout import PageLayout
    from frumious.model.pages import ProjectPage
    from frumious.model.types import Key
    from frumious.state.ledger import Ledger
    from frumious.storage.protocol import Storage, Stored


class Manifest(Value, frozen=True):
    """The mirror's JSON page of a project, and the object that it was read from.

    What the page names is stored and verified.
    """

    page: ProjectPage
    key: Key
    stored: Stored
    damaged: bool = False  # what is stored is no page; `page` names nothing


class UnreadableManifest(InvalidPage):
    """What is stored where a manifest belongs is not a page of the project's."""

    def __init__(self, key: Key, stored: Stored, error: Exception) -> None:
        super().__init__(f"{key!r} is damaged: {error}")
        self.key = key
        self.stored = stored


class PageStore:
    """Reads pages wherever they are: `layout` is the configured one, others were before."""

    def __init__(
        self,
        storage: Storage,
        page_layout: PageLayout,
        ledger: Ledger,
        snapshots: KnownSnapshots | None = None,
        root_shards: int = 0,
    ) -> None:
        self.storage = storage
        self.layout = page_layout
        self.root_shards = root_shards  # into which the root index is divided; 0: none
        self.snapshots = snapshots or KnownSnapshots(storage)
        self._ledger = ledger

    async def former_layouts(self) -> Sequence[PageLayout]:
        """Return the other layouts that the mirror has had: pages of theirs may be left."""
        return [former for former in await self._ledger.layouts() if former != self.layout]

    async def read_manifest(self, project: NormalizedName) -> Manifest | None:
        """Return the JSON page of a project; None where there is none.

        Raises:
            UnreadableManifest: what is stored is not the project's page.
        """
        key = self.layout.manifest(project)
        stored = await self.storage.read(key)
        if stored is None:
            former = {each.manifest(project) for each in await self.former_layouts()} - {key}
            for key in sorted(former):
                stored = await self.storage.read(key)
                if stored is not None:
                    break
            else:
                return None
        try:
            page = parse_json.manifest(stored.body, key)
            check_name(page.name, project)
            for file in page.files:
                layout.stored_key(file)
        except (InvalidPage, InvalidValue, layout.UnsafeName) as error:
            raise UnreadableManifest(key, stored, error) from error
        return Manifest(page, key, stored)

    async def read_page(self, project: NormalizedName) -> ProjectPage | None:
        """Return the page of a project: JSON, or HTML where another program wrote that alone.

        Raises:
            UnreadableManifest: the JSON page is not the project's page.
        """
        manifest = await self.read_manifest(project)
        return manifest.page if manifest is not None else await self.read_html_page(project)

    async def read_html_page(self, project: NormalizedName) -> ProjectPage | None:
        """Return the HTML page of a project, which may be newer than the JSON page, or alone."""
        key = self.layout.page(project, layout.HTML)
        stored = await self.storage.read(key)
        if stored is None:
            return None
        try:
            return parse_html.project_page(stored.body, f"/{key}", project).page
        except InvalidPage:
            return None

    async def read_first_page(self, project: NormalizedName) -> ProjectPage | None:
        """Return the page that a job writes first: it may be newer than the JSON page, or alone.

        That is HTML; where none is published, it is the compressed variant of the JSON page.
        """
        if self.layout.html or not self.layout.has_json_variants:
            return await self.read_html_page(project)
        key = self.layout.variant(self.layout.manifest(project))
        stored = await self.storage.read(key)
        if stored is None:
            return None
        try:
            return parse_json.manifest(gzipped.decompress(stored.body), key)
        except (InvalidPage, zlib.error):
            return None

    async def read_root_index(self) -> tuple[Key, Stored | None]:
        """Return the JSON root index, and its key."""
        key = self.layout.root_manifest
        stored = await self.storage.read(key)
        if stored is None:
            for former in await self.former_layouts():
                if former.root_manifest != key:
                    stored = await self.storage.read(former.root_manifest)
                    return former.root_manifest, stored
        return key, stored

    async def projects_with_pages(self) -> list[tuple[NormalizedName, ListedProject]]:
        """Return the projects that have a page, by a listing: their serials are not known.

        For a root index that is damaged or gone.
        """
        projects = [project async for project in self.stored_projects()]
        return [(project, ListedProject(project, None)) for project in sorted(projects)]

    async def stored_projects(self, after: str = "") -> AsyncIterator[NormalizedName]:
        """Yield the projects that have a page, in the order of their keys, behind one of them."""
        start = self.layout.after_manifest(after) if after else ""
        async for entry in self.storage.list(self.layout.manifest_prefix, after=start):
            project = self.layout.project_of(entry.key)
            if project is not None:
                yield project

    async def listed_projects(self) -> Iterable[tuple[NormalizedName, ListedProject]]:
        """Return the projects of the root index, as a stream that can be read once.

        The stream raises InvalidPage if the root index is damaged.
        """
        key, stored = await self.read_root_index()
        return () if stored is None else root_index.entries(stored.body, key)
