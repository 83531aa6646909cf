"""The inbox: results on their way from workers to the finalizer.

Each object holds the reports of one batch. Its key is made of its content, so that recording the
same reports twice changes nothing. A report is deleted only when all that it says is published.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from frumious.concurrency import run_all
from frumious.model import layout
from frumious.model.jobs import Report, Result
from frumious.state.ledger import LedgerCorrupt, parse, render

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from frumious.model.runs import Run
    from frumious.model.types import Key
    from frumious.storage.protocol import Storage

logger = logging.getLogger(__name__)

_CONCURRENT_READS: Final = 64
_MAX_REPORTS: Final = 100_000  # in memory at once; the next tick takes the others
_MAX_KEYS: Final = 250_000  # that these reports name


class _ReportsFile(Struct):
    reports: list[Report]


class _ResultsFile(Struct):
    results: list[Result]


@dataclass(slots=True)
class Inbox:
    """Reports that were read, and the objects that hold them."""

    keys: list[Key] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    named_keys: int = 0

    @property
    def full(self) -> bool:
        """Whether no more fit into memory."""
        return len(self.reports) >= _MAX_REPORTS or self.named_keys >= _MAX_KEYS

    def add(self, key: Key, reports: Iterable[Report]) -> None:
        """Add what an object holds."""
        self.keys.append(key)
        for report in reports:
            self.reports.append(report)
            self.named_keys += len(report.result.added) + len(report.result.removed)


async def record(storage: Storage, reports: Iterable[Report]) -> None:
    """Leave reports for the finalizer, as one object."""
    ordered = sorted(reports, key=lambda report: (report.job.run, report.job.project))
    if ordered:
        body = render(_ReportsFile(ordered))
        name = f"{ordered[0].job.run}-{hashlib.sha256(body).hexdigest()[:32]}"
        await storage.write(layout.inbox(name), body)


async def read(storage: Storage, *, deadline: float = math.inf) -> Inbox:
    """Read reports, those of the oldest runs first, as many as fit into memory.

    `deadline` is by time.monotonic(). A damaged object is logged and set aside; its projects lag
    when their run's deadline has passed.
    """
    inbox = Inbox()
    waiting: list[Key] = []
    async for entry in storage.list(layout.INBOX):
        waiting.append(entry.key)
        if len(waiting) == _CONCURRENT_READS:
            await _read_some(storage, waiting, inbox)
            waiting.clear()
            if inbox.full or time.monotonic() >= deadline:
                return inbox
    await _read_some(storage, waiting, inbox)
    return inbox


async def read_own_results(storage: Storage, run: Run, inbox: Inbox) -> None:
    """Add the results of a run that version 0 began, which kept them below the run's prefix."""
    async for entry in storage.list(layout.own_results(run.run)):
        stored = await storage.read(entry.key)
        if stored is not None:
            results = parse(entry.key, stored, _ResultsFile).results
            known = (result for result in results if result.project in run.jobs)
            inbox.add(entry.key, (Report(run.job(result.project), result) for result in known))


async def _read_some(storage: Storage, keys: Sequence[Key], inbox: Inbox) -> None:
    for key, stored in zip(keys, await run_all(storage.read(key) for key in keys), strict=True):
        if stored is None:
            continue  # another finalizer has consumed it
        try:
            inbox.add(key, parse(key, stored, _ReportsFile).reports)
        except LedgerCorrupt as error:
            kept_at = layout.damaged(key)
            logger.error("%s; it is kept as %r", error, kept_at)  # noqa: TRY400 (names the object)
            await storage.write(kept_at, stored.body)
            inbox.add(key, ())
