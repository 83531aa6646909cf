"""One delivery of a job: it leaves a result, is retried later, or is continued by another job."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from msgspec.structs import replace

from frumious.errors import FrumiousError, Reason, Retryable, explain
from frumious.model.advisories import NO_ADVISORIES, ProjectAdvisories
from frumious.model.jobs import Job, Outcome, Report, Result, failure
from frumious.model.losses import NOTHING, Loss
from frumious.model.named import NO_NAMED_PROJECTS, NamedProjects
from frumious.private.refresh import load
from frumious.state import inbox
from frumious.state.advisories import NOTHING as NOTHING_BLOCKED
from frumious.syncing.budget import MirrorBudget
from frumious.syncing.recovery import Attempt
from frumious.syncing.sync import sync_project
from frumious.syncing.transfer import Transfer
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from packaging.utils import NormalizedName

    from frumious.meter import Meter
    from frumious.mirror import Mirror
    from frumious.model.advisories import Advisories
    from frumious.model.runs import Cursor
    from frumious.model.types import RunId

logger = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 40  # seconds; with 80, 160 and 320 that is the ten minutes of PyPI's cache
_MAX_PAUSE: Final = 900  # seconds; a queue's delay


class OutOfTime(Retryable):
    """The job was not finished in the time that this process has."""

    reason = Reason.NO_RESULT


class Delivery(Value, frozen=True):
    """A job as the queue delivers it."""

    job: Job
    number: int  # 1 for the first time
    last: bool  # the queue will not deliver it again
    deadline: float  # when it is cancelled, by time.monotonic()
    on_last_file: Callable[[], None] | None = None  # called when no file waits for its turn
    meter: Meter | None = None  # counts what the job stores


class RetryLater(Value, frozen=True):
    """The job is to be delivered again, not before `pause` seconds."""

    job: Job
    pause: int
    reason: str

    @property
    def report(self) -> Report:
        """Why nobody has to wait for the job."""
        result = replace(failure(self.job, self.reason), outcome=Outcome.RETRY_LATER)
        return Report(self.job, result)


class Continuation(Value, frozen=True):
    """The job ran out of time, but made progress: `job` goes on where it stopped."""

    job: Job


class Obsolete(Value, frozen=True):
    """Nobody waits for the job: its run is closed, and its project in step or retried by itself."""

    job: Job


Disposition: TypeAlias = "Result | RetryLater | Continuation | Obsolete"


class Batch:
    """Deliveries that are worked on at the same time, those of one project in their order."""

    def __init__(  # noqa: PLR0913, PLR0917 (what is known)
        self,
        mirror: Mirror,
        open_runs: frozenset[RunId],
        lagging: Collection[NormalizedName],
        totals: Loss = NOTHING,
        named: NamedProjects = NO_NAMED_PROJECTS,
        advisories: Advisories = NOTHING_BLOCKED,
    ) -> None:
        self._mirror = mirror
        self._advisories = advisories
        self._named = named
        self._open_runs = open_runs
        self._lagging = lagging
        self._totals = totals
        self.budget = MirrorBudget.of(mirror.config.max_mirror_size, totals.bytes_)
        self.foreign = False  # as in Attempt
        self._locks: defaultdict[NormalizedName, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._retried_later: dict[NormalizedName, RetryLater] = {}

    @classmethod
    async def begin(
        cls, mirror: Mirror, cursor: Cursor | None = None, budget: MirrorBudget | None = None
    ) -> Self:
        """Begin a batch, knowing which runs are open and which projects lag.

        In this order: a project lags before its run is closed. `cursor` is what this process knows
        of it already, and `budget` what it has used. What people have named since the jobs were
        sent counts as well, and what advisories block since.

        Raises:
            LedgerCorrupt: nobody knows what they block; the next tick of the planner finds out.
        """
        cursor = cursor or await mirror.ledger.cursor()
        mirror.pages.snapshots.forget()
        if mirror.private is not None:
            await load(mirror)
        mirror = await mirror.with_stored_lists(cursor.lists, cursor.closure.needed)
        named = await mirror.ledger.named() if cursor.named else NO_NAMED_PROJECTS
        advisories = await mirror.advisories.read(cursor.advisories.digest)
        lagging = await mirror.ledger.lagging() if cursor.lagging else {}
        open_runs = frozenset(entry.run for entry in cursor.runs)
        totals = Loss(cursor.files, cursor.bytes_)
        batch = cls(mirror, open_runs, lagging, totals, named, advisories)
        batch.budget = budget or batch.budget
        batch.foreign = cursor.is_foreign(mirror.config.master_fingerprint)
        return batch

    async def work(self, delivery: Delivery) -> Disposition:
        """Do a job when its turn comes: after the earlier jobs of its project."""
        job = delivery.job
        project = job.project
        async with self._locks[project]:
            if (earlier := self._retried_later.get(project)) is not None:
                return RetryLater(job, earlier.pause, earlier.reason)
            is_open, lagging = job.run in self._open_runs, project in self._lagging
            if not is_open and not lagging and delivery.number == 1:
                logger.info("job is obsolete", extra={"project": project, "run": job.run})
                return Obsolete(job)
            disposition = await work(
                delivery,
                self._mirror,
                open_runs=self._open_runs,
                recovering=lagging or not is_open,
                totals=self._totals,
                budget=self.budget,
                foreign=self.foreign,
                named=self._named,
                advisories=self._advisories_of(project),
            )
            if isinstance(disposition, RetryLater):
                self._retried_later[project] = disposition
            return disposition

    def _advisories_of(self, project: NormalizedName) -> ProjectAdvisories:
        """Return the advisories of a project; those of a private one are of another."""
        private = self._mirror.selection.private.has(project)
        return NO_ADVISORIES if private else self._advisories.of(project)


def retry_pause(number: int) -> int:
    """Return how many seconds pass before a job is delivered again after its nth delivery."""
    return min(_FIRST_PAUSE << (number - 1), _MAX_PAUSE)


async def work(  # noqa: PLR0913 (what is known)
    delivery: Delivery,
    mirror: Mirror,
    *,
    open_runs: frozenset[RunId] = frozenset(),
    recovering: bool = False,
    totals: Loss = NOTHING,
    budget: MirrorBudget | None = None,
    foreign: bool = False,
    named: NamedProjects = NO_NAMED_PROJECTS,
    advisories: ProjectAdvisories = NO_ADVISORIES,
) -> Disposition:
    """Do a job; `recovering` as in Job: the project lags, or the job's run is closed.

    After a fault that may pass it is retried later. At its last delivery, and after a fault that
    stays, the result says that the project failed and why.
    """
    job = delivery.job
    unreported, recovering = recovering, recovering or job.recovering
    attempt = Attempt(
        job=replace(job, recovering=recovering, named=job.named or job.project in named.requested),
        resuming=recovering or delivery.number > 1 or job.continuation > 0,
        unreported=unreported,
        final=delivery.last,
        totals=totals,
        budget=budget or MirrorBudget(),
        open_runs=open_runs,
        foreign=foreign,
        deleted=job.project in named.deleted,
        advisories=advisories,
    )
    transfer = Transfer.of(attempt, mirror, delivery.on_last_file, delivery.meter)
    deadline = asyncio.timeout_at(delivery.deadline)
    try:
        async with deadline:
            with mirror.upstream.large_pages.room() as room:
                result = await sync_project(replace(attempt, room=room), mirror, transfer)
        inbox.check(Report(job, result))
        return result  # noqa: TRY300
    except TimeoutError as error:
        if not deadline.expired():
            return _failed(delivery, error)
        if transfer.stored:
            extra = {"project": job.project, "stored": transfer.stored}
            logger.info("project is continued", extra=extra)
            return Continuation(replace(job, continuation=job.continuation + 1))
        msg = f"no file of {job.project!r} was stored before the time was over"
        return _failed(delivery, OutOfTime(msg))
    except Exception as error:  # noqa: BLE001 (whatever it is, it concerns this project alone)
        return _failed(delivery, error)


def _failed(delivery: Delivery, error: Exception) -> Result | RetryLater:
    """Decide whether a job that failed is retried later."""
    job = delivery.job
    permanent = isinstance(error, FrumiousError) and not isinstance(error, Retryable)
    pause = retry_pause(delivery.number)
    if isinstance(error, Retryable) and error.retry_after is not None:
        pause = max(pause, math.ceil(error.retry_after))
    retry = None if permanent or delivery.last else min(pause, _MAX_PAUSE)
    reason = explain(error)
    logger.warning(
        "project failed",
        extra={"project": job.project, "error": reason, "retry": retry},
        exc_info=None if isinstance(error, FrumiousError) else error,
    )
    return failure(job, reason) if retry is None else RetryLater(job, retry, reason)
