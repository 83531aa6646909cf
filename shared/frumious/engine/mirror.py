"""The rooms that one process works with, opened together and closed together."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frumious.ledger import Ledger
from frumious.model import Selected
from frumious.selection import Selection
from frumious.storage.s3 import S3Storage
from frumious.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from packaging.utils import NormalizedName

    from frumious.config import Config
    from frumious.storage.protocol import Storage


@dataclass(frozen=True, slots=True)
class Mirror:
    """Everything that the verbs need."""

    config: Config
    upstream: Upstream
    storage: Storage
    ledger: Ledger
    selection: Selection
    transfers: asyncio.Semaphore  # files under way at the same time, over all projects

    def fingerprint(self, project: NormalizedName) -> str:
        """Identify all of the configuration that shapes the project's page."""
        return self.config.pages_fingerprint + self.selection.releases_fingerprint(project)

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
        )


@asynccontextmanager
async def open_mirror(config: Config) -> AsyncIterator[Mirror]:
    """Open upstream and storage as the configuration names them."""
    async with aclosing(Upstream(config)) as upstream, aclosing(S3Storage(config)) as storage:
        yield Mirror(
            config,
            upstream,
            storage,
            Ledger(storage),
            Selection.of(config.filters),
            asyncio.Semaphore(config.workers),
        )
