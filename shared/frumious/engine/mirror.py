"""The rooms that one process works with, opened together and closed together."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from frumious.config.choices import Backend, SimpleFormat
from frumious.layout import Pages
from frumious.ledger import Ledger
from frumious.runs import Selected
from frumious.selection import Selection
from frumious.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from packaging.utils import NormalizedName

    from frumious.config import Config
    from frumious.storage.protocol import Storage


@dataclass(frozen=True, slots=True)
class Mirror:
    """Everything that the verbs need."""

    config: Config
    upstream: Upstream
    storage: Storage
    diffs: Storage  # where the diff-file goes: mostly the same
    ledger: Ledger
    selection: Selection
    transfers: asyncio.Semaphore  # files under way at the same time, over all projects

    def fingerprint(self, project: NormalizedName) -> str:
        """Identify all of the configuration that shapes the project's page."""
        return self.config.pages_fingerprint + self.selection.releases_fingerprint(project)

    @property
    def pages(self) -> Pages:
        """How pages are laid out."""
        form = self.config.simple_format
        return Pages(
            self.config.hash_index,
            html=form is not SimpleFormat.JSON,
            json=form is not SimpleFormat.HTML,
        )

    async def former_pages(self) -> Sequence[Pages]:
        """Return how else pages were laid out before: there may be some left."""
        return [pages for pages in await self.ledger.layouts() if pages != self.pages]

    @property
    def selected(self) -> Selected:
        """What the configuration makes of the mirror as a whole."""
        return Selected(
            projects=self.selection.projects_fingerprint,
            pages=self.config.pages_fingerprint,
            releases={
                project: self.selection.releases_fingerprint(project)
                for project in self.selection.projects_with_rules
            },
            layouts=(self.pages.name,),
        )


@asynccontextmanager
async def open_mirror(config: Config) -> AsyncIterator[Mirror]:
    """Open upstream and storage as the configuration names them."""
    async with AsyncExitStack() as opened:
        upstream = await opened.enter_async_context(aclosing(Upstream(config)))
        storage = await opened.enter_async_context(open_storage(config))
        diffs = storage
        if config.diff_directory is not None:
            elsewhere = config.below(config.diff_directory)
            diffs = await opened.enter_async_context(open_storage(elsewhere))
        yield Mirror(
            config,
            upstream,
            storage,
            diffs,
            Ledger(storage),
            Selection.of(config.filters),
            asyncio.Semaphore(config.workers),
        )


@asynccontextmanager
async def open_storage(config: Config) -> AsyncIterator[Storage]:
    """Open the storage that the configuration names; no other is even imported."""
    match config.backend:
        case Backend.FILESYSTEM:
            from frumious.storage.filesystem import FilesystemStorage  # noqa: PLC0415

            folder = FilesystemStorage(
                Path(config.directory), manage_permissions=config.manage_permissions
            )
            async with aclosing(folder):
                yield folder
        case Backend.S3:
            from frumious.storage.s3 import S3Storage  # noqa: PLC0415

            async with aclosing(S3Storage(config)) as bucket:
                await bucket.prepare()
                yield bucket
        case Backend.SWIFT:
            from frumious.storage.swift import SwiftStorage  # noqa: PLC0415

            async with aclosing(SwiftStorage(config)) as container:
                yield container
