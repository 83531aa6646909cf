"""Results are recorded; what comes too late to count is told by the project's next job."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from frumious.model import Lagging

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from packaging.utils import NormalizedName

    from frumious.engine.mirror import Mirror
    from frumious.model import Job, Result

_TOO_LATE = "its run was closed before its job was done; the next job tells what that one did"


async def record_results(done: Collection[tuple[Job, Result]], mirror: Mirror) -> None:
    """Keep results for the finalizer.

    Where a run was closed meanwhile (its deadline passed, or a message came twice) nobody reads
    them any more: the projects that were changed are then due for a job that tells it again.
    """
    await mirror.ledger.record(done)
    changed = [(job, result) for job, result in done if result.outcome.changed]
    if not changed:
        return
    waiting = {run.run for run in (await mirror.ledger.cursor()).runs}
    late = {job.project: (job, result) for job, result in changed if job.run not in waiting}
    if not late:
        return

    def change(lagging: Mapping[NormalizedName, Lagging]) -> Mapping[NormalizedName, Lagging]:
        return {
            **lagging,
            **{project: _due(lagging.get(project), *one) for project, one in late.items()},
        }

    await mirror.ledger.change_lagging(change)


def _due(before: Lagging | None, job: Job, result: Result) -> Lagging:
    now = time.time()
    if before is not None:
        return replace(before, due=now, untold=True)
    return Lagging(
        serial=result.serial or job.serial,
        reason=_TOO_LATE,
        attempts=0,
        due=now,
        run=job.run,
        losing=job.may_lose,
        named=job.named,
        untold=True,
    )
