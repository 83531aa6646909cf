"""Results are recorded; what comes too late to count is told by the project's next job."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from frumious.model.runs import Lagging

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.jobs import Job, Result
    from frumious.model.types import RunId

_TOO_LATE = "its run was closed before its job was done: another job makes sure of it"


async def record_results(done: Collection[tuple[Job, Result]], mirror: Mirror) -> None:
    """Keep results for the finalizer.

    Where a run is being closed (its deadline passed, or a message came twice) nobody reads them
    any more: the projects that were changed are then due for a job that tells it again.
    """
    await mirror.ledger.record(done)
    changed = [(job, result) for job, result in done if result.outcome.changed]
    if not changed:
        return
    runs = (await mirror.ledger.cursor()).runs
    read = {run.run for run in runs if not run.closing}
    late = [(job, result.serial or job.serial) for job, result in changed if job.run not in read]
    if late:
        await make_due(late, {run.run for run in runs}, mirror)


async def make_due(
    jobs: Iterable[tuple[Job, int]], open_runs: Collection[RunId], mirror: Mirror
) -> None:
    """Let the next run take up projects whose jobs' results may not count.

    With each job comes the serial that its project has to reach. None of `open_runs` is known to
    tell what such a job did: their own jobs may have been done before.
    """

    def change(lagging: Mapping[NormalizedName, Lagging]) -> Mapping[NormalizedName, Lagging]:
        due = {
            job.project: _due(lagging.get(job.project), job, serial, max({job.run, *open_runs}))
            for job, serial in jobs
        }
        return {**lagging, **due}

    await mirror.ledger.change_lagging(change)


def _due(before: Lagging | None, job: Job, serial: int, last: RunId) -> Lagging:
    now = time.time()
    if before is not None:
        return replace(before, due=now, run=max(before.run, last), untold=True)
    return Lagging(
        serial=serial,
        reason=_TOO_LATE,
        attempts=0,
        due=now,
        run=last,
        allowed_removal=job.allowed_removal,
        named=job.named,
        untold=True,
    )
