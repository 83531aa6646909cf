"""Runs that can be closed: each of their jobs has a result, or is known not to get one soon."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from frumious.model.jobs import Outcome, Result
from frumious.syncing.delivery import failure

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.jobs import Job
    from frumious.model.runs import Cursor, Lagging, OpenRun, Run
    from frumious.model.types import Key, RunId

logger = logging.getLogger(__name__)

_PATIENCE: Final = 120  # seconds that a run waits for projects that are known to fail
_RESULTS_AT_ONCE: Final = 100_000  # that are in memory together; the next tick takes the others
_KEYS_AT_ONCE: Final = 250_000  # that these results name
_UNDONE: Final = frozenset({Outcome.FAILED, Outcome.RETRY_LATER})


@dataclass(frozen=True, slots=True)
class ClosedRun:
    """A run with the one result that counts for each of its projects."""

    run: Run
    results: Mapping[NormalizedName, Result]


@dataclass(slots=True)
class _Gathered:
    """A run's results, as far as they were read."""

    run: Run
    results: dict[NormalizedName, Result] = field(default_factory=dict)
    read: set[Key] = field(default_factory=set)

    async def add(self, keys: Sequence[Key], mirror: Mirror) -> None:
        """Read results, and make one of several of a project."""
        self.read.update(keys)
        for result in await mirror.ledger.results(keys):
            before = self.results.get(result.project)
            self.results[result.project] = result if before is None else _together(before, result)


async def record_deaths(dead: Sequence[Job], cursor: Cursor, mirror: Mirror) -> None:
    """Leave results for jobs that came to the dead-letter queue: nobody else does."""
    reason = "its worker crashed, or ran out of memory or time, at each of its deliveries"
    waiting = {run.run for run in cursor.runs}
    await mirror.ledger.record([(job, failure(job, reason)) for job in dead if job.run in waiting])


async def close_runs(
    cursor: Cursor,
    lagging: Mapping[NormalizedName, Lagging],
    mirror: Mirror,
    *,
    deadline: float = math.inf,
) -> tuple[Cursor, list[ClosedRun]]:
    """Gather the results of the runs that can be closed, the oldest first.

    As many as fit in memory, and until the `deadline` (by time.monotonic()). The cursor that is
    returned marks these runs as closing; what was recorded before anybody could see that is
    gathered too, and whoever records a result later sees that it does not count.
    """
    complete = await _complete_runs(cursor, lagging, mirror, deadline)
    ids = {one.run.run for one in complete}
    if not ids:
        return cursor, []
    cursor = await mirror.ledger.change_cursor(lambda now: _mark(now, ids))
    left = {run.run for run in cursor.runs}  # another finalizer may have closed the others
    closed: list[ClosedRun] = []
    for one in complete:
        if one.run.run in left:
            keys, _ = await mirror.ledger.result_keys(one.run.run)
            await one.add([key for key in keys if key not in one.read], mirror)
            closed.append(ClosedRun(one.run, one.results))
    return cursor, closed


async def _complete_runs(
    cursor: Cursor, lagging: Mapping[NormalizedName, Lagging], mirror: Mirror, deadline: float
) -> list[_Gathered]:
    complete: list[_Gathered] = []
    results = keys = 0
    for run in cursor.runs:
        if run.sent is None:
            continue
        if time.monotonic() >= deadline or results >= _RESULTS_AT_ONCE or keys >= _KEYS_AT_ONCE:
            break
        one = await _gather(run, run.sent, lagging, mirror)
        if one is not None:
            complete.append(one)
            results += len(one.results)
            keys += sum(len(done.added) + len(done.removed) for done in one.results.values())
    return complete


async def _gather(
    open_run: OpenRun, sent: float, lagging: Mapping[NormalizedName, Lagging], mirror: Mirror
) -> _Gathered | None:
    """Gather a run's results; None while jobs are missing that may still get one."""
    now = time.time()
    waited = now >= sent + _PATIENCE
    overdue = now >= sent + mirror.config.run_deadline
    run = await mirror.ledger.plan(open_run.run)
    keys, most = await mirror.ledger.result_keys(open_run.run)
    known_to_fail = len(lagging) if waited else 0
    if most + known_to_fail < len(run.jobs) and not overdue:
        return None  # without reading any
    gathered = _Gathered(run)
    await gathered.add(keys, mirror)
    results = gathered.results
    unfinished = {
        project
        for project in run.jobs
        if project not in results or results[project].outcome is Outcome.RETRY_LATER
    }
    stuck = unfinished - results.keys() - lagging.keys()
    if unfinished and not overdue and (stuck or not waited):
        return None
    for project in unfinished:
        results[project] = failure(run.job(project), _why(project, results, lagging, mirror))
    extra = {"run": run.run, "jobs": len(run.jobs), "unfinished": len(unfinished)}
    logger.info("run can be closed", extra=extra)
    return gathered


def _mark(cursor: Cursor, closing: Container[RunId]) -> Cursor:
    runs = tuple(replace(run, closing=True) if run.run in closing else run for run in cursor.runs)
    return replace(cursor, runs=runs)


def _why(
    project: NormalizedName,
    results: Mapping[NormalizedName, Result],
    lagging: Mapping[NormalizedName, Lagging],
    mirror: Mirror,
) -> str:
    if project in results:
        return results[project].error or ""
    if project in lagging:
        return lagging[project].reason
    seconds = mirror.config.run_deadline
    return f"no result within {seconds} s; the job was lost, died or is stuck"


def _together(one: Result, other: Result) -> Result:
    """Make one of two results of a job: the one that reached more, with what both changed."""
    last, first = (one, other) if _reached(one) >= _reached(other) else (other, one)
    if first == last or not first.outcome.changed:
        return last
    added = {*first.added, *last.added} - {*last.removed}
    return replace(
        last,
        outcome=last.outcome if last.outcome.changed else first.outcome,
        added=tuple(sorted(added)),
        added_bytes=max(first.added_bytes, last.added_bytes),
        removed=tuple(sorted({*first.removed, *last.removed} - {*last.added})),
    )


def _reached(result: Result) -> tuple[int, int]:
    if result.outcome in _UNDONE:
        return -1, result.outcome is Outcome.FAILED
    return result.serial or 0, result.outcome.changed
