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

from frumious.engine.finalize import finalize
from frumious.engine.record import record_results
from frumious.engine.start import start_runs
from frumious.engine.work import Batch, Delivery, PutOff
from frumious.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from packaging.utils import NormalizedName

    from frumious.engine.mirror import Mirror
    from frumious.model import Job, Result
    from frumious.runs import Lagging, Plan

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
        StorageUnavailable, StorageRefused, LedgerDamaged: this cannot go on; the next run will.
    """
    crew = _Crew(mirror, tell)
    crew.send(await _left_undone(mirror))
    await start_runs(plan, mirror, crew)
    while crew.waiting and not crew.stopped:
        await crew.work_off()
        await finalize(mirror)
        if not crew.stopped:
            await start_runs(None, mirror, crew)  # the next stages of a large plan
    await finalize(mirror)
    return Done(lagging=await mirror.ledger.lagging(), stopped=crew.stopped)


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
            if result.outcome is not Outcome.PUT_OFF
        }
        # A part of them may be stored already.
        jobs += [replace(run.job(project), part=1) for project in run.jobs if project not in done]
    return jobs


@dataclass(slots=True)
class _Crew:
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

    async def work_off(self) -> None:
        """Do the jobs that wait; those that are put off once more, after a pause."""
        jobs, self.waiting = self.waiting, []
        try:
            for number in range(1, _DELIVERIES + 1):
                batch = await Batch.begin(self.mirror)
                put_off: list[tuple[Job, int]] = []
                coming = iter(jobs)
                await asyncio.gather(
                    *(
                        self._work(coming, number, batch, put_off)
                        for _ in range(min(_JOBS_AT_ONCE, len(jobs)))
                    )
                )
                if not put_off or self.stopped:
                    break
                pause = min(max(pause for _, pause in put_off), _LONGEST_PAUSE)
                logger.info("jobs are put off", extra={"jobs": len(put_off), "seconds": pause})
                await self._record()
                await asyncio.sleep(pause)
                jobs = [job for job, _ in put_off]
        finally:
            await self._record()

    async def _work(
        self,
        coming: Iterator[Job],
        number: int,
        batch: Batch,
        put_off: list[tuple[Job, int]],
    ) -> None:
        for job in coming:
            if self.stopped:
                return
            delivery = Delivery(job, number, last=number == _DELIVERIES, deadline=math.inf)
            try:
                result = await batch.work(delivery)
            except PutOff as later:
                put_off.append((job, later.pause))
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
