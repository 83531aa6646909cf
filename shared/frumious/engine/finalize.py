"""Runs whose jobs all have a result are closed: root index, lagging projects, status, diff-file.

Every step may be done twice, and the run is closed last: a finalizer that dies anywhere is
simply followed by the next one.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from frumious.engine.publish import publish_diff, publish_root_index, publish_status
from frumious.engine.work import failure
from frumious.model import Cursor, Lagging, Outcome, Result, Run, RunId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.engine.mirror import Mirror

logger = logging.getLogger(__name__)

_FIRST_PAUSE = 60  # seconds until a project that failed is tried again; doubled each time
_LONGEST_PAUSE = 6 * 3600
_CHANGES = frozenset({Outcome.UPDATED, Outcome.QUARANTINED, Outcome.REMOVED})


@dataclass(frozen=True, slots=True)
class ClosedRun:
    """A run with the one result that counts for each of its projects."""

    run: Run
    results: Mapping[NormalizedName, Result]


@dataclass(frozen=True, slots=True)
class Finalized:
    """What one tick of the finalizer did."""

    closed: Sequence[ClosedRun]
    lagging: int  # projects
    open: int  # runs


async def finalize(mirror: Mirror) -> Finalized:
    """Close the runs that are complete or past their deadline, and publish what they changed."""
    cursor = await mirror.ledger.cursor()
    closed = [
        run
        for open_run in cursor.runs
        if open_run.sent and (run := await _close(open_run.run, mirror)) is not None
    ]
    after = _without(cursor, closed)
    lagging = await mirror.ledger.lagging()
    if closed:
        lagging = update_lagging(lagging, closed, now=time.time())
        await mirror.ledger.write_lagging(lagging)
        await publish_root_index(closed, after.mirror_serial, mirror)
        for run in closed:
            await publish_diff(run, mirror)
    await publish_status(closed, after.mirror_serial, lagging, mirror)
    if closed:
        after = await mirror.ledger.change_cursor(lambda now: _without(now, closed))
    return Finalized(closed, len(lagging), len(after.runs))


def update_lagging(
    lagging: Mapping[NormalizedName, Lagging], closed: Sequence[ClosedRun], *, now: float
) -> dict[NormalizedName, Lagging]:
    """Add the projects that failed in the closed runs, and take out those that came up."""
    updated = dict(lagging)
    for one in closed:
        for project, result in one.results.items():
            before = updated.get(project)
            if result.error is None:
                if before is not None and (result.serial or before.serial) >= before.serial:
                    del updated[project]
            elif before is None or before.run != one.run.run:
                attempts = before.attempts + 1 if before is not None else 1
                pause = min(_FIRST_PAUSE * 2 ** (attempts - 1), _LONGEST_PAUSE)
                updated[project] = Lagging(
                    serial=max(one.run.jobs[project], before.serial if before else 0),
                    reason=result.error,
                    attempts=attempts,
                    due=now + pause,
                    run=one.run.run,
                    losing=project in one.run.losing or (before is not None and before.losing),
                )
    return updated


async def _close(run_id: RunId, mirror: Mirror) -> ClosedRun | None:
    """Gather a run's results; None while there are jobs without, and time left for them."""
    run = await mirror.ledger.plan(run_id)
    results: dict[NormalizedName, Result] = {}
    async for result in mirror.ledger.results(run_id):
        before = results.get(result.project)
        if before is None or _weight(result) > _weight(before):
            results[result.project] = result
    missing = run.jobs.keys() - results.keys()
    if missing and time.time() < run.created + mirror.config.run_deadline:
        return None
    for project in missing:
        reason = f"no result within {mirror.config.run_deadline} s; the job died or is stuck"
        results[project] = failure(run.job(project), reason)
    logger.info("run closed", extra={"run": run_id, "jobs": len(run.jobs), "died": len(missing)})
    return ClosedRun(run, results)


def _weight(result: Result) -> tuple[int, bool, int]:
    """Order the results of one job: the one that reached most, and that changed most, counts."""
    changed = len(result.added) + len(result.removed)
    reached = (result.serial or 0) if result.outcome is not Outcome.FAILED else -1
    return reached, result.outcome in _CHANGES, changed


def _without(cursor: Cursor, closed: Sequence[ClosedRun]) -> Cursor:
    ids = {one.run.run for one in closed}
    return replace(cursor, runs=tuple(run for run in cursor.runs if run.run not in ids))
