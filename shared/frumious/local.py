"""Whole runs in one process: what planner, workers and finalizer do in AWS.

The same verbs in the same order, so that a process that was killed is followed by the next one,
which does what the open runs still lack.
"""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from frumious.finalizing.finalize import finalize
from frumious.model.jobs import Outcome
from frumious.planning.dispatch import start_runs
from frumious.state.results import record_results
from frumious.syncing.delivery import Batch, Delivery, RetryLater

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.jobs import Job, Result
    from frumious.model.plans import Plan
    from frumious.model.runs import Lagging

logger = logging.getLogger(__name__)

_JOBS_AT_ONCE: Final = 10
_DELIVERIES: Final = 3  # of a job; then its project lags, and a later run takes it up
_LONGEST_PAUSE: Final = 60  # seconds that jobs are put off
_RECORDED_AT_ONCE: Final = 50  # results; a process that is killed loses no more than these


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What the runs of this process came to."""

    lagging: Mapping[NormalizedName, Lagging]  # that are behind upstream now
    stopped: bool  # at the first error, as `stop-on-error` has it


async def run_here(plan: Plan, mirror: Mirror, tell: Callable[[int, Result | None], None]) -> Done:
    """Carry out a plan, and what earlier runs left undone.

    `tell` hears how many jobs have come together so far, and the result of one that is done.

    Raises:
        StorageUnavailable, StorageRefused, LedgerCorrupt: this cannot go on; the next run will.
    """
    workers = _WorkerPool(mirror, tell)
    workers.send(await _left_undone(mirror))
    await start_runs(plan, mirror, workers)
    while workers.waiting and not workers.stopped:
        await workers.drain()
        await finalize(mirror)
        if not workers.stopped:
            await start_runs(None, mirror, workers)  # the next stages of a large plan
    await finalize(mirror)
    return Done(lagging=await mirror.ledger.lagging(), stopped=workers.stopped)


async def _left_undone(mirror: Mirror) -> list[Job]:
    """Return the jobs of open runs that were sent, to a process that is no more, and not done."""
    jobs: list[Job] = []
    for open_run in (await mirror.ledger.cursor()).runs:
        if open_run.sent is None:
            continue
        run = await mirror.ledger.plan(open_run.run)
        keys, _ = await mirror.ledger.result_keys(open_run.run)
        done = {
            result.project
            for result in await mirror.ledger.results(keys)
            if result.outcome is not Outcome.RETRY_LATER
        }
        # A part of them may be stored already.
        jobs += [
            replace(run.job(project), continuation=1) for project in run.jobs if project not in done
        ]
    return jobs


@dataclass(slots=True)
class _WorkerPool:
    """The jobs that wait in this process, and who works on them: queue and workers in one."""

    mirror: Mirror
    tell: Callable[[int, Result | None], None]
    waiting: list[Job] = field(default_factory=list)
    stopped: bool = False
    _sent: int = 0
    _unrecorded: list[tuple[Job, Result]] = field(default_factory=list)

    def send(self, jobs: Iterable[Job], *, deadline: float = math.inf) -> int:  # noqa: ARG002
        """Take jobs, as a queue does, and return how many."""
        taken = list(jobs)
        self.waiting += taken
        self._sent += len(taken)
        self.tell(self._sent, None)
        return len(taken)

    async def drain(self) -> None:
        """Do the jobs that wait; those that are put off once more, after a pause."""
        jobs, self.waiting = self.waiting, []
        try:
            for number in range(1, _DELIVERIES + 1):
                batch = await Batch.begin(self.mirror)
                retry_later: list[tuple[Job, int]] = []
                coming = iter(jobs)
                await asyncio.gather(
                    *(
                        self._work(coming, number, batch, retry_later)
                        for _ in range(min(_JOBS_AT_ONCE, len(jobs)))
                    )
                )
                if not retry_later or self.stopped:
                    break
                pause = min(max(pause for _, pause in retry_later), _LONGEST_PAUSE)
                logger.info("jobs are put off", extra={"jobs": len(retry_later), "seconds": pause})
                await self._record()
                await asyncio.sleep(pause)
                jobs = [job for job, _ in retry_later]
        finally:
            await self._record()

    async def _work(
        self,
        coming: Iterator[Job],
        number: int,
        batch: Batch,
        retry_later: list[tuple[Job, int]],
    ) -> None:
        for job in coming:
            if self.stopped:
                return
            delivery = Delivery(job, number, last=number == _DELIVERIES, deadline=math.inf)
            try:
                result = await batch.work(delivery)
            except RetryLater as later:
                retry_later.append((job, later.pause))
                self._unrecorded.append((job, later.result))
            else:
                self._unrecorded.append((job, result))
                if result.error is not None and self.mirror.config.stop_on_error:
                    self.stopped = True
                self.tell(self._sent, result)
            if len(self._unrecorded) >= _RECORDED_AT_ONCE:
                await self._record()

    async def _record(self) -> None:
        done, self._unrecorded = self._unrecorded, []
        await record_results(done, self.mirror)
