"""An audit: what the stored pages name, against what the storage holds.

It goes through phases: pages, files, snapshots, the rest, the root index. It keeps how far it is in
the mirror's own storage, stops before a deadline, and is continued from there by any process.
Memory depends neither on the number of projects nor on that of files.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec.structs import replace

from frumious.auditing.confirm import confirm_files, confirm_orphans, confirm_pages
from frumious.auditing.deep import Reader
from frumious.auditing.file_check import MAX_JOB_AGE, check_shard
from frumious.auditing.listing import all_projects
from frumious.auditing.page_check import check_pages
from frumious.auditing.records import Batch, shards_for
from frumious.auditing.rest_check import check_rest
from frumious.auditing.root_check import check_root
from frumious.auditing.snapshot_check import check_kept_pages, kept_pages
from frumious.concurrency import run_all
from frumious.errors import FrumiousError
from frumious.model import layout
from frumious.model.audits import AuditProgress, Finding, Kind, Phase
from frumious.state.audit import AuditDamaged, AuditStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from packaging.utils import NormalizedName

    from frumious.auditing.page_check import PageCheck
    from frumious.mirror import Mirror
    from frumious.model.types import Key

logger = logging.getLogger(__name__)

T = TypeVar("T")

_PAGES_AT_ONCE: Final = 64
_SHARDS_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """How an audit is done."""

    deep: bool = False  # read all bytes
    sample: float = 1.0  # the share of files that a deep audit reads
    max_rate: float = math.inf  # bytes per second that it reads
    workers: int = 3  # files that it reads at a time
    restart: bool = False  # do not continue an earlier audit
    checkpoint: float = 60.0  # seconds between two
    max_records: int = 1_000_000  # in memory: 28 bytes each


async def audit(
    mirror: Mirror,
    settings: AuditSettings | None = None,
    *,
    deadline: float = math.inf,
    on_progress: Callable[[AuditProgress], None] | None = None,
) -> AuditProgress:
    """Continue the audit that is under way, or begin one; return how far it is.

    It stops when `deadline`, by time.monotonic(), has passed, and makes some progress even if it
    already has: then `phase` is not DONE. What it has found is read with `AuditStore.findings`.
    If what it has kept is damaged, it begins anew.

    Raises:
        StorageUnavailable, StorageRefused: the next call goes on from the last checkpoint.
        NewerFormat: a later version of Frumious wrote the mirror's state.
    """
    settings = settings or AuditSettings()
    store = AuditStore(mirror.storage)
    progress = await unfinished(mirror, settings) or await _begin(settings, mirror, store)
    run = _Audit(mirror, store, settings, deadline, on_progress or (lambda _: None), progress)
    try:
        await run.go_on()
    except AuditDamaged as error:
        logger.error("%s; it begins anew now", error)  # noqa: TRY400
        run.begin_anew(await _begin(settings, mirror, store))
        await run.go_on()
    return run.progress


async def unfinished(mirror: Mirror, settings: AuditSettings) -> AuditProgress | None:
    """Return how far the audit is that `audit` would continue; None: it would begin one."""
    progress = None if settings.restart else await AuditStore(mirror.storage).progress()
    if progress is None or progress.phase is Phase.DONE:
        return None
    is_same = (progress.deep, progress.sample) == (settings.deep, settings.sample)
    return progress if is_same else None


async def _begin(settings: AuditSettings, mirror: Mirror, store: AuditStore) -> AuditProgress:
    await store.clear()
    try:
        files = (await mirror.ledger.cursor()).files
    except FrumiousError:  # found later
        files = 0
    progress = AuditProgress(
        began=mirror.clock.now(),
        deep=settings.deep,
        sample=settings.sample,
        shards=shards_for(2 * files),  # with their core metadata
    )
    await store.write_progress(progress)
    return progress


@dataclass(slots=True)
class _Audit:
    """An audit in this process."""

    mirror: Mirror
    store: AuditStore
    settings: AuditSettings
    deadline: float
    on_progress: Callable[[AuditProgress], None]
    progress: AuditProgress
    findings: list[Finding] = field(default_factory=list)  # since the last checkpoint

    def begin_anew(self, progress: AuditProgress) -> None:
        self.progress, self.findings = progress, []

    async def go_on(self) -> None:
        steps = {
            Phase.PAGES: self._check_pages,
            Phase.FILES: self._check_files,
            Phase.SNAPSHOTS: self._check_snapshots,
            Phase.REST: self._check_rest,
            Phase.ROOT: self._check_root,
        }
        while (phase := self.progress.phase) is not Phase.DONE:
            await steps[phase]()
            if self._is_over():
                return

    async def _check_pages(self) -> None:
        """Read each project's page, and keep what it names; check provenance and page forms."""
        reader = Reader(self.mirror, self.settings)
        batch, began = Batch(self.progress.shards), time.monotonic()
        suspects, deep = _Suspects(), self.settings.deep and self.settings.sample == 1
        listing = all_projects(self.mirror, after=self.progress.after)
        async with aclosing(listing):
            while group := await _take(listing, _PAGES_AT_ONCE):
                checks = await run_all(check_pages(each, self.mirror, deep=deep) for each in group)
                for objects, check in zip(group, checks, strict=True):
                    batch.add(check)
                    suspects.add(check, self._oldest())
                    self.findings += await reader.read(check)
                    self._count(projects=check.has_page, objects=len(objects.entries))
                self.progress = replace(self.progress, read=self.progress.read + reader.pop())
                is_due = time.monotonic() - began > self.settings.checkpoint
                if is_due or batch.records > self.settings.max_records or self._is_over():
                    await self._keep_batch(batch, suspects, group[-1].project)
                    if self._is_over():
                        return
                    batch, suspects = Batch(self.progress.shards), _Suspects()
                    began = time.monotonic()
                self.on_progress(self.progress)
        await self._keep_batch(batch, suspects, self.progress.after)
        await self._enter(Phase.FILES)

    async def _keep_batch(self, batch: Batch, suspects: _Suspects, after: str) -> None:
        self.findings += await suspects.confirmed(self.mirror)
        number = self.progress.batches
        if batch.pages:
            await batch.write(number, self.store)
            number += 1
        self.progress = replace(self.progress, batches=number, after=after)
        await self._checkpoint()

    async def _check_files(self) -> None:
        """List the files, some shards at a time."""
        progress = self.progress
        while progress.shard < progress.shards:
            end = min(progress.shard + _SHARDS_AT_ONCE, progress.shards)
            checks = await run_all(
                check_shard(shard, progress.shards, progress.batches, self.mirror, self.store)
                for shard in range(progress.shard, end)
            )
            for check in checks:
                self.findings += await confirm_files(check.suspects, self.mirror)
                self.findings += await confirm_orphans(check.candidates, self.mirror)
                self._count(objects=check.objects)
            self.progress = progress = replace(self.progress, shard=end)
            await self._checkpoint()
            if self._is_over():
                return
        self.progress = replace(self.progress, after="")
        await self._enter(Phase.SNAPSHOTS)

    async def _check_snapshots(self) -> None:
        """Check what snapshots keep, and what they show of that."""
        began, deep = time.monotonic(), self.settings.deep
        async with aclosing(kept_pages(self.mirror, after=self.progress.after)) as listing:
            while group := await _take(listing, _PAGES_AT_ONCE):
                self.findings += await check_kept_pages(group, self.mirror, deep=deep)
                self._count(objects=len(group))
                self.progress = replace(self.progress, after=group[-1].key)
                if time.monotonic() - began > self.settings.checkpoint or self._is_over():
                    await self._checkpoint()
                    began = time.monotonic()
                    if self._is_over():
                        return
        await self._enter(Phase.REST)

    async def _check_rest(self) -> None:
        self.findings += await check_rest(self.mirror, deep=self.settings.deep)
        await self._enter(Phase.ROOT)

    async def _check_root(self) -> None:
        self.findings += await check_root(self.progress.batches, self.mirror, self.store)
        self.progress = replace(self.progress, finished=self.mirror.clock.now())
        await self._enter(Phase.DONE)
        await self.store.clear_batches()

    async def _enter(self, phase: Phase) -> None:
        self.progress = replace(self.progress, phase=phase)
        await self._checkpoint()

    async def _checkpoint(self) -> None:
        """Keep the findings, and then how far the audit is."""
        progress, found = self.progress, [*dict.fromkeys(self.findings)]
        if found:
            await self.store.write_findings(progress.reported, found)
            counts = Counter(progress.counts) + Counter(each.kind for each in found)
            progress = replace(progress, reported=progress.reported + 1, counts=dict(counts))
        await self.store.write_progress(progress)
        self.progress, self.findings = progress, []
        self.on_progress(progress)

    def _count(self, *, projects: int = 0, objects: int = 0) -> None:
        progress = self.progress
        self.progress = replace(
            progress, projects=progress.projects + projects, objects=progress.objects + objects
        )

    def _oldest(self) -> float:
        return self.mirror.clock.now() - MAX_JOB_AGE

    def _is_over(self) -> bool:
        return time.monotonic() >= self.deadline


async def _take(listing: AsyncIterator[T], size: int) -> list[T]:
    """Return the next items of a listing."""
    group: list[T] = []
    while len(group) < size and (item := await anext(listing, None)) is not None:
        group.append(item)
    return group


@dataclass(slots=True)
class _Suspects:
    """What has to be looked at again before it is reported."""

    pages: set[NormalizedName] = field(default_factory=set)
    provenance: list[Key] = field(default_factory=list)  # that no page names
    leftovers: list[Finding] = field(default_factory=list)

    def add(self, check: PageCheck, oldest: float) -> None:
        if check.findings:
            self.pages.add(check.project)
        for entry in check.candidates:
            if entry.modified is not None and entry.modified > oldest:
                continue
            if entry.key.startswith(layout.PROVENANCE):
                self.provenance.append(entry.key)
            else:
                self.leftovers.append(Finding(Kind.LEFTOVER, entry.key, check.project))

    async def confirmed(self, mirror: Mirror) -> list[Finding]:
        return [
            *await confirm_pages(self.pages, mirror),
            *await confirm_orphans(self.provenance, mirror),
            *self.leftovers,
        ]
