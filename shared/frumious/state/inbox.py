"""The inbox: results on their way from workers to the finalizer.

Each object holds the reports of one batch. Its key is made of its content, so that recording the
same reports twice changes nothing. A report is deleted only when all that it says is published.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct, field

from frumious.concurrency import run_all
from frumious.model import layout
from frumious.model.jobs import Report, Result
from frumious.state.objects import (
    LedgerCorrupt,
    NewerFormat,
    parse,
    read_or_set_aside,
    render,
    set_aside,
)
from frumious.value import Mutable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from frumious.model.runs import Run
    from frumious.model.types import Key
    from frumious.storage.protocol import Storage, Stored

logger = logging.getLogger(__name__)

_CONCURRENT_READS: Final = 64
_MAX_REPORTS: Final = 100_000  # in memory at once; the next tick takes the others
_MAX_KEYS: Final = 250_000  # that these reports name


class _ReportsFile(Struct):
    reports: list[Report]


class _RawReportsFile(Struct):
    reports: list[Any]


class _ResultsFile(Struct):
    results: list[Result]


class Inbox(Mutable):
    """Reports that were read, and the objects that hold them."""

    keys: list[Key] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    named_keys: int = 0
    _objects: dict[Key, list[Report]] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Whether no more fit into memory."""
        return len(self.reports) >= _MAX_REPORTS or self.named_keys >= _MAX_KEYS

    def add(self, key: Key, reports: Iterable[Report]) -> None:
        """Add what an object holds."""
        self.keys.append(key)
        self._objects[key] = list(reports)
        for report in self._objects[key]:
            self.reports.append(report)
            self.named_keys += len(report.result.added) + len(report.result.removed)

    def reports_of(self, keys: Iterable[Key]) -> Iterator[Report]:
        """Yield the reports of those objects that were read."""
        for key in keys:
            yield from self._objects.get(key, ())


def check(report: Report) -> None:
    """Check that a report can be read back: otherwise it would cost the batch that it is part of.

    Raises:
        InvalidState: it could not.
    """
    render(report)


async def record(storage: Storage, reports: Iterable[Report]) -> None:
    """Leave reports for the finalizer, as one object."""
    ordered = sorted(reports, key=lambda report: (report.job.run, report.job.project))
    if ordered:
        body = render(_ReportsFile(ordered))
        name = f"{ordered[0].job.run}-{hashlib.sha256(body).hexdigest()[:32]}"
        await storage.write(layout.inbox(name), body)


async def read(storage: Storage, *, deadline: float = math.inf) -> Inbox:
    """Read reports, those of the oldest runs first, as many as fit into memory.

    `deadline` is by time.monotonic(). A damaged object is logged and set aside; projects whose
    reports are lost with it lag when their run's deadline has passed.
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
        file, _ = await read_or_set_aside(entry.key, _ResultsFile, storage)
        results = () if file is None else file.results
        known = (result for result in results if result.project in run.jobs)
        inbox.add(entry.key, (Report(run.job(result.project), result) for result in known))


async def _read_some(storage: Storage, keys: Sequence[Key], inbox: Inbox) -> None:
    for key, stored in zip(keys, await run_all(storage.read(key) for key in keys), strict=True):
        if stored is None:
            continue  # another finalizer has consumed it
        try:
            inbox.add(key, parse_reports(key, stored))
        except LedgerCorrupt as error:
            await set_aside(key, stored, error, storage)
            inbox.add(key, intact_reports(key, stored))
        except NewerFormat as error:
            logger.error("%s", error)  # noqa: TRY400 (left to that version)


def parse_reports(key: Key, stored: Stored) -> list[Report]:
    """Return the reports of an object.

    Raises:
        LedgerCorrupt, NewerFormat: as `parse`.
    """
    return parse(key, stored, _ReportsFile).reports


def intact_reports(key: Key, stored: Stored) -> Iterator[Report]:
    """Yield those reports of a damaged object that can be read."""
    with suppress(LedgerCorrupt):
        for report in parse(key, stored, _RawReportsFile).reports:
            with suppress(msgspec.ValidationError):
                yield msgspec.convert(report, Report)
