"""Everything that one process works with, opened and closed together."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from frumious.clock import Clock
from frumious.config.choices import SimpleFormat
from frumious.model.layout import PageLayout
from frumious.model.runs import Selected
from frumious.selection.selection import Selection
from frumious.state.ledger import Ledger
from frumious.storage.opening import open_storage
from frumious.upstream.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from packaging.utils import NormalizedName

    from frumious.config.settings import Config
    from frumious.storage.protocol import Storage

CLOCK: Final = Clock()


@dataclass(frozen=True, slots=True)
class Mirror:
    """Everything that the verbs need."""

    config: Config
    clock: Clock
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
    def pages(self) -> PageLayout:
        """How pages are laid out."""
        form = self.config.simple_format
        return PageLayout(
            self.config.hash_index,
            html=form is not SimpleFormat.JSON,
            json=form is not SimpleFormat.HTML,
        )

    async def former_pages(self) -> Sequence[PageLayout]:
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
async def open_mirror(config: Config, clock: Clock = CLOCK) -> AsyncIterator[Mirror]:
    """Open upstream and storage as the configuration names them."""
    async with AsyncExitStack() as opened:
        upstream = await opened.enter_async_context(aclosing(Upstream(config, clock)))
        storage = await opened.enter_async_context(open_storage(config))
        diffs = storage
        if config.diff_directory is not None:
            elsewhere = config.for_directory(config.diff_directory)
            diffs = await opened.enter_async_context(open_storage(elsewhere))
        yield Mirror(
            config,
            clock,
            upstream,
            storage,
            diffs,
            Ledger(storage),
            Selection.of(config.filters),
            asyncio.Semaphore(config.workers),
        )
