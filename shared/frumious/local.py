"""Whole runs in one process: what planner, workers and finalizer do in AWS.

The same verbs in the same order, so that a process that was killed is followed by one that does
what the open runs still lack.
"""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.concurrency import task_group
from frumious.errors import Reason
from frumious.finalizing.diff_file import DiffFile
from frumious.finalizing.finalize import finalize
from frumious.model.jobs import Job, Outcome, Report, Result
from frumious.planning.advisories import start_advisories
from frumious.planning.dispatch import start_runs
from frumious.state import inbox
from frumious.state.objects import LedgerCorrupt
from frumious.syncing.delivery import Batch, Delivery, RetryLater

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from packaging.utils import NormalizedName

    from frumious.finalizing.finalize import Finalized
    from frumious.meter import Meter
    from frumious.mirror import Mirror
    from frumious.model.plans import Plan
    from frumious.model.runs import Lagging
    from frumious.planning.advisories import Update
    from frumious.syncing.budget import MirrorBudget

logger = logging.getLogger(__name__)

_DELIVERIES: Final = 3  # of a job; then its project lags, and a later run retries it
_MAX_PAUSE: Final = 60  # seconds until jobs are retried
_RECORDED_AT_ONCE: Final = 50  # reports; a process that is killed loses no more than these


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What the runs of this process achieved."""

    lagging: Mapping[NormalizedName, Lagging]  # that lag behind upstream now
    stopped: bool  # at the first error, as `stop-on-error` has it, or where the storage was full


async def run_here(
    plan: Plan | None,
    mirror: Mirror,
    on_progress: Callable[[int, Result | None], None],
    meter: Meter | None = None,
    advisories: Update | None = None,
) -> Done:
    """Carry out a plan, and what earlier runs left undone; None: only the latter.

    What follows from `advisories` comes first.
    `on_progress` gets the number of jobs so far, and the result of a job that is done. `meter`
    counts what the jobs store.

    Raises:
        StorageUnavailable, StorageRefused, LedgerCorrupt: this cannot go on; the next run will.
    """
    workers, ledger = _WorkerPool(mirror, on_progress, meter), mirror.ledger
    if plan is None or plan.base is None:
        await ledger.cursor()  # nobody has read it yet
    undone = [] if plan is not None and plan.reset else await undone_jobs(mirror)
    if undone or _is_hourly(plan):  # a process that was killed may have left something
        await mirror.storage.remove_leftovers()
    workers.send(undone)
    if advisories is not None:
        await start_advisories(advisories, mirror, workers, in_process=True)
    await start_runs(plan, mirror, workers, in_process=True)
    finalized: Finalized | None = None
    changed = False
    while workers.waiting and not workers.stopped:
        await workers.drain()
        finalized = await finalize(mirror, cursor=await ledger.known_cursor())
        changed = changed or any(result.outcome.changed for result in finalized.results)
        if finalized.open and not workers.stopped:
            await start_runs(None, mirror, workers)  # the next stages of a large plan
    if finalized is None or finalized.open:
        finalized = await finalize(mirror, cursor=await ledger.known_cursor())
        changed = changed or any(result.outcome.changed for result in finalized.results)
    if plan is not None and plan.base is not None and not changed:
        await (await DiffFile.open(mirror)).clear(mirror)
    lagging = await ledger.lagging() if finalized.lagging else {}
    return Done(lagging=lagging, stopped=workers.stopped)


def _is_hourly(plan: Plan | None) -> bool:
    """Return whether the plan does what is done once an hour, or is not one of the mirror's."""
    if plan is None or plan.base is None or plan.cursor is None:
        return True
    return plan.cursor.deletions != plan.base.deletions


async def undone_jobs(mirror: Mirror) -> list[Job]:
    """Return the jobs that were sent to a process that is no more, and left no result."""
    open_runs = (await mirror.ledger.known_cursor()).runs
    if not open_runs:
        return []
    reported = await inbox.read(mirror.storage)
    jobs: list[Job] = []
    for entry in open_runs:
        if entry.sent is None:
            continue
        try:
            run = await mirror.ledger.plan(entry.run)
            stored = await mirror.ledger.progress(entry.run)
        except LedgerCorrupt:
            continue  # the run is lost, as the finalizer finds out
        if entry.own_results:
            await inbox.read_own_results(mirror.storage, run, reported)
        pending = {*(run.jobs if stored is None else stored[0].pending)}
        pending -= {
            report.job.project
            for report in reported.reports
            if report.job.run == entry.run and report.result.outcome is not Outcome.RETRY_LATER
        }
        # Some of their files may be stored already.
        undone = sorted(pending & run.jobs.keys())
        jobs += [replace(run.job(project), continuation=1) for project in undone]
    return jobs


@dataclass(slots=True)
class _WorkerPool:
    """The jobs that wait in this process, and who does them: queue and workers in one."""

    mirror: Mirror
    on_progress: Callable[[int, Result | None], None]
    meter: Meter | None
    waiting: list[Job] = field(default_factory=list)
    stopped: bool = False
    _sent: int = 0
    _budget: MirrorBudget | None = None
    _unrecorded: list[Report] = field(default_factory=list)

    def send(self, jobs: Iterable[Job], *, deadline: float = math.inf) -> int:  # noqa: ARG002
        """Take jobs, as a queue does, and return how many."""
        taken = list(jobs)
        self.waiting += taken
        self._sent += len(taken)
        self.on_progress(self._sent, None)
        return len(taken)

    async def drain(self) -> None:
        """Do the jobs that wait; those that are retried later once more, after a pause."""
        jobs, self.waiting = self.waiting, []
        self._budget = None  # the finalizer has counted what was stored
        try:
            for number in range(1, _DELIVERIES + 1):
                retried = await self._deliver(jobs, number)
                if not retried or self.stopped:
                    break
                pause = min(max(each.pause for each in retried), _MAX_PAUSE)
                logger.info("jobs are retried", extra={"jobs": len(retried), "seconds": pause})
                await self._record()
                await self.mirror.clock.sleep(pause)
                jobs = [each.job for each in retried]
        finally:
            await self._record()

    async def _deliver(self, jobs: Iterable[Job], number: int) -> list[RetryLater]:
        """Do jobs, `workers` at a time, and return those that are retried later.

        A project whose files are all on their way does not count, so that no connection is idle
        until the last of them has arrived. It has one of the `downloads` or publishes its page.
        """
        config = self.mirror.config
        cursor = await self.mirror.ledger.known_cursor()
        batch = await Batch.begin(self.mirror, cursor, self._budget)
        self._budget = batch.budget
        retried: list[RetryLater] = []
        workers = asyncio.Semaphore(config.workers)
        unfinished = asyncio.Semaphore(config.workers + config.downloads)

        async def work(job: Job) -> None:
            async with unfinished:
                with ExitStack() as turn:
                    turn.callback(workers.release)
                    delivery = Delivery(
                        job,
                        number,
                        last=number == _DELIVERIES,
                        deadline=math.inf,
                        on_last_file=turn.close,
                        meter=self.meter,
                    )
                    disposition = await batch.work(delivery)
            match disposition:
                case RetryLater() as later:
                    retried.append(later)
                    self._unrecorded.append(later.report)
                case Result() as result:
                    self._unrecorded.append(Report(job, result))
                    if result.error is not None and (
                        config.stop_on_error or Reason.public(result.error) is Reason.STORAGE_FULL
                    ):
                        self.stopped = True
                    self.on_progress(self._sent, result)
            if len(self._unrecorded) >= _RECORDED_AT_ONCE:
                await self._record()

        async with task_group() as group:
            for job in jobs:
                await workers.acquire()
                if self.stopped:
                    break
                group.create_task(work(job))
        return retried

    async def _record(self) -> None:
        reports, self._unrecorded = self._unrecorded, []
        await inbox.record(self.mirror.storage, reports)
