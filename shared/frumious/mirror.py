"""Everything that one process works with, opened and closed together."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final, Self

from msgspec import structs

from frumious.attestations.verifier import NO_VERIFIER, open_local_verifier
from frumious.clock import Clock
from frumious.model.closure import NOTHING_NEEDED
from frumious.model.runs import Selected
from frumious.selection.unread import ListsUnread
from frumious.state.advisories import AdvisoryStore
from frumious.state.ledger import Ledger
from frumious.state.page_store import PageStore
from frumious.storage.opening import open_storage
from frumious.upstream.client import Client
from frumious.upstream.upstream import Upstream
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from packaging.utils import NormalizedName

    from frumious.attestations.verifier import Verifier
    from frumious.config.attestations import AttestationPolicy
    from frumious.config.settings import Config
    from frumious.model.lists import Lists
    from frumious.private.source import PrivateSource
    from frumious.selection.selection import Selection
    from frumious.storage.protocol import Storage

CLOCK: Final = Clock()


class Mirror(Value, frozen=True):
    """Everything that the verbs need."""

    config: Config
    clock: Clock
    upstream: Upstream
    storage: Storage
    diffs: Storage  # where the diff-file goes: mostly the same
    ledger: Ledger
    pages: PageStore
    selection: Selection
    advisories: AdvisoryStore
    private: PrivateSource | None = None  # the private directory
    verifier: Verifier = NO_VERIFIER

    @classmethod
    def of(  # noqa: PLR0913, PLR0917 (what is open)
        cls,
        config: Config,
        clock: Clock,
        upstream: Upstream,
        storage: Storage,
        diffs: Storage,
        private: PrivateSource | None = None,
        verifier: Verifier = NO_VERIFIER,
    ) -> Self:
        """Assemble what works on an upstream and a storage that are open."""
        ledger = Ledger(storage)
        return cls(
            config,
            clock,
            upstream,
            storage,
            diffs,
            ledger,
            PageStore(storage, config.page_layout, ledger, root_shards=config.root_index_shards),
            config.selection,
            AdvisoryStore(storage),
            private,
            verifier,
        )

    def with_lists(self, lists: Lists) -> Self:
        """Return the mirror with the selection by lists that were read."""
        now = self.selection
        selection = self.config.selection.with_lists(lists)
        selection = structs.replace(
            selection, named=now.named, blocked=now.blocked, needed=now.needed
        )
        return structs.replace(self, selection=selection)

    async def with_stored_lists(self, known: str = "", needed: str | None = None) -> Self:
        """Return the mirror with the selection by the lists that the planner has read.

        What it has found to be needed counts as well. `known` and `needed` are the fingerprints of
        what will do; None: whatever this process has read last.

        Raises:
            ListsUnread: it has not read them yet.
            LedgerCorrupt: nobody knows what is needed.
        """
        if self.selection.closure is not None:
            found = await self.ledger.needed(needed) or NOTHING_NEEDED
            self = structs.replace(self, selection=structs.replace(self.selection, needed=found))  # noqa: PLW0642
        if not self.selection.unread:
            return self
        lists = await self.ledger.lists(known)
        if lists is None:
            raise ListsUnread
        return self.with_lists(lists)

    def fingerprint(self, project: NormalizedName) -> str:
        """Identify all of the configuration that shapes the project's page."""
        return self._pages_fingerprint + self._rules_fingerprint(project)

    def _rules_fingerprint(self, project: NormalizedName) -> str:
        policy = self.config.attestations
        attestations = "" if policy is None else policy.rules_fingerprint(project)
        return self.selection.releases_fingerprint(project) + attestations

    @property
    def _pages_fingerprint(self) -> str:
        policy, closure = self.config.attestations, self.selection.closure
        attestations = "" if policy is None else policy.pages_fingerprint
        dependencies = "" if closure is None else closure.fingerprint
        pages = self.config.pages_fingerprint + self.selection.pages_fingerprint
        return pages + attestations + dependencies

    @property
    def selected(self) -> Selected:
        """What the configuration makes of the mirror as a whole."""
        policy = self.config.attestations
        attested = frozenset["NormalizedName"]() if policy is None else policy.projects
        # Live pages do not depend on it: all projects are planned, and few pages are written.
        simple_all = "simple-all" if self.selection.simple_all else ""
        return Selected(
            projects=self.selection.projects_fingerprint,
            pages=self._pages_fingerprint + simple_all,
            releases={
                project: self._rules_fingerprint(project)
                for project in self.selection.projects_with_rules | attested
            },
            layouts=(self.pages.layout.name,),
        )


@asynccontextmanager
async def open_mirror(
    config: Config,
    clock: Clock = CLOCK,
    open_verifier: Callable[[AttestationPolicy], Verifier] = open_local_verifier,
) -> AsyncIterator[Mirror]:
    """Open upstream and storage as the configuration names them.

    Raises:
        CannotVerify: attestations are to be verified, and nothing here can.
    """
    policy = config.attestations
    verifier = NO_VERIFIER if policy is None else open_verifier(policy)
    async with AsyncExitStack() as opened:
        client = Client(config, clock)
        upstream = await opened.enter_async_context(aclosing(Upstream(config, client)))
        storage = await opened.enter_async_context(open_storage(config))
        diffs = storage
        if config.diff_directory is not None:
            elsewhere = config.for_directory(config.diff_directory)
            diffs = await opened.enter_async_context(open_storage(elsewhere))
        private = None
        if config.private.directory:
            from frumious.private.source import open_private  # noqa: PLC0415 (rarely needed)

            private = await opened.enter_async_context(open_private(config))
        yield Mirror.of(config, clock, upstream, storage, diffs, private, verifier)
