"""One delivery of a job: it leaves a result, or is put off to a later delivery."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from frumious.errors import FrumiousError, Retryable
from frumious.messaging.job_queue import LONGEST_PAUSE
from frumious.model.jobs import Job, Outcome, Result
from frumious.state.results import make_due
from frumious.syncing.sync import sync_project
from frumious.syncing.transfer import Attempt

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.types import RunId

logger = logging.getLogger(__name__)

_FIRST_PAUSE = 40  # seconds; with 80, 160 and 320 that is the ten minutes of PyPI's page cache


class OutOfTime(Retryable):
    """The job was not finished in the time that this process has."""


class Continuation(FrumiousError):
    """The job ran out of time, but got on: `job` is to go on where it stopped."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"{job.project!r} goes on with part {job.continuation}")
        self.job = job


class RetryLater(FrumiousError):
    """The job is to be delivered again, not before `pause` seconds.

    `result` says why, so that nobody has to wait for it.
    """

    def __init__(self, pause: int, result: Result) -> None:
        super().__init__(f"the job is put off for {pause} s")
        self.pause = pause
        self.result = result


@dataclass(frozen=True, slots=True)
class Delivery:
    """A job as the queue hands it out."""

    job: Job
    number: int  # 1 for the first time
    last: bool  # the queue will not hand it out again
    deadline: float  # when it is cut off, by time.monotonic()


class Batch:
    """Deliveries that are worked on at the same time, those of one project in their order."""

    def __init__(
        self,
        mirror: Mirror,
        open_runs: Collection[RunId],
        lagging: Iterable[NormalizedName],
    ) -> None:
        self._mirror = mirror
        self._open_runs = open_runs
        self._lagging = {*lagging}
        self._turns: defaultdict[NormalizedName, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._put_off: dict[NormalizedName, RetryLater] = {}

    @classmethod
    async def begin(cls, mirror: Mirror) -> Self:
        """Begin with a batch, knowing which runs are open and who is lagging."""
        open_runs = {run.run for run in (await mirror.ledger.cursor()).runs}
        return cls(mirror, open_runs, await mirror.ledger.lagging())

    async def work(self, delivery: Delivery) -> Result:
        """Do a job when it is its turn.

        Raises:
            RetryLater: the job, or an earlier one of its project, is to be tried again later.
            Continuation: another job is to go on where this one stopped.
        """
        job = delivery.job
        project = job.project
        async with self._turns[project]:
            if job.run not in self._open_runs:
                # It was lost, or came twice, and nobody reads its result: another job will tell.
                await make_due([(job, job.serial)], self._open_runs, self._mirror)
                self._lagging.add(project)
            if project in self._lagging:
                delivery = replace(delivery, job=replace(job, recovering=True))
            if (earlier := self._put_off.get(project)) is not None:
                reason = earlier.result.error or ""
                raise RetryLater(earlier.pause, _put_off(delivery.job, reason))
            try:
                return await work(delivery, self._mirror, self._open_runs)
            except RetryLater as retry_later:
                self._put_off[project] = retry_later
                raise


async def work(delivery: Delivery, mirror: Mirror, open_runs: Collection[RunId] = ()) -> Result:
    """Do a job; `open_runs` are those of which not all results may be recorded yet.

    A fault that may pass puts the job off; at its last delivery, and for a fault that stays,
    the result says that the project failed and why.

    Raises:
        RetryLater: the job is to be tried again later.
        Continuation: another job is to go on where this one stopped.
    """
    job = delivery.job
    try:
        return await _in_time(delivery, mirror, open_runs)
    except Continuation:
        raise
    except Exception as error:  # whatever it is, it is this project's alone
        stays = isinstance(error, FrumiousError) and not isinstance(error, Retryable)
        pause = _FIRST_PAUSE * 2 ** (delivery.number - 1)
        if isinstance(error, Retryable) and error.retry_after is not None:
            pause = max(pause, math.ceil(error.retry_after))
        pause = min(pause, LONGEST_PAUSE)
        retry = None if stays or delivery.last else pause
        reason = str(error) if isinstance(error, FrumiousError) else repr(error)
        logger.warning(
            "project failed",
            extra={"project": job.project, "error": reason, "retry": retry},
            exc_info=None if isinstance(error, FrumiousError) else error,
        )
        if retry is not None:
            raise RetryLater(retry, _put_off(job, reason)) from error
        return failure(job, reason)


def failure(job: Job, reason: str) -> Result:
    """Make the result of a job that could not be done."""
    return Result(project=job.project, outcome=Outcome.FAILED, serial=job.serial, error=reason)


def _put_off(job: Job, reason: str) -> Result:
    return replace(failure(job, reason), outcome=Outcome.RETRY_LATER)


def counts(results: Iterable[Result]) -> dict[str, int]:
    """Count what jobs did, as metrics."""
    done = list(results)
    outcomes = Counter(Outcome.FAILED if result.error else result.outcome for result in done)
    return {
        "ProjectsUpdated": outcomes[Outcome.UPDATED],
        "ProjectsUnchanged": outcomes[Outcome.UNCHANGED],
        "ProjectsRemoved": outcomes[Outcome.REMOVED] + outcomes[Outcome.QUARANTINED],
        "ProjectsFailed": outcomes[Outcome.FAILED],
        "FilesStored": sum(len(result.added) for result in done),
        "BytesStored": sum(result.added_bytes for result in done),
    }


async def _in_time(delivery: Delivery, mirror: Mirror, open_runs: Collection[RunId]) -> Result:
    job = delivery.job
    resuming = delivery.number > 1 or job.continuation > 0 or job.recovering
    attempt = Attempt(resuming=resuming, last=delivery.last, open_runs=open_runs)
    try:
        async with asyncio.timeout_at(delivery.deadline):
            return await sync_project(job, mirror, attempt)
    except TimeoutError as error:
        if attempt.stored:
            logger.info("project goes on", extra={"project": job.project, "stored": attempt.stored})
            raise Continuation(replace(job, continuation=job.continuation + 1)) from error
        msg = f"no file of {job.project!r} was stored before the time was over"
        raise OutOfTime(msg) from error
