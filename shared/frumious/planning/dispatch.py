"""A plan becomes runs, and the runs become jobs on the queue.

All runs of a plan are opened together with the step of the cursor in one write, then sent.
Whatever is cut off in between is found again at the next tick.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from frumious.errors import FrumiousError
from frumious.model import layout
from frumious.model.runs import Cursor, OpenRun, Run
from frumious.model.types import RunId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.jobs import Job
    from frumious.model.plans import Plan

logger = logging.getLogger(__name__)

_LARGEST_RUN: Final = 10_000  # jobs; a larger plan becomes several runs, its stages
# So that a change that comes meanwhile does not wait behind all of PyPI, and none of the jobs
# grows old on the queue.
_STAGES_AT_ONCE: Final = 3


class Queue(Protocol):
    """Where jobs are sent to: SQS, or the process itself."""

    def send(self, jobs: Iterable[Job], *, deadline: float = math.inf) -> int:
        """Take jobs until the deadline, and return how many."""


class _Overtaken(FrumiousError):
    """Somebody else planned from the same cursor, and was first."""


async def start_runs(
    plan: Plan | None, mirror: Mirror, queue: Queue, *, deadline: float = math.inf
) -> list[RunId]:
    """Open a plan's runs, send their jobs, and those of runs that were cut off before.

    `deadline` is by time.monotonic(): what is not sent by then is left to the next tick. Returns
    the runs that were opened: none where nothing is to be done, or where somebody else planned
    the same meanwhile.

    Raises:
        QueueUnavailable: not all jobs were sent; the next tick sends them.
    """
    opened: list[RunId] = []
    if plan is not None:
        try:
            opened = await _open(plan, mirror)
        except _Overtaken:
            logger.info("another planner was faster")
    await _send(mirror, queue, deadline)
    return opened


async def _open(plan: Plan, mirror: Mirror) -> list[RunId]:
    """Keep the runs' plans, then open them and move the cursor in one write."""
    runs = _split(plan)
    for run in runs:
        await mirror.ledger.write_plan(run)
    opened = tuple(
        OpenRun(
            run=run.run,
            since=run.since,
            behind=plan.behind,
            staged=len(plan.jobs) > _LARGEST_RUN,
            retries=plan.retries & run.jobs.keys(),
        )
        for run in runs
    )

    def change(cursor: Cursor) -> Cursor:
        if plan.base is None or plan.cursor is None:
            return replace(cursor, runs=(*cursor.runs, *opened))
        if cursor.revision != plan.base.revision:
            raise _Overtaken
        return replace(
            plan.cursor,
            runs=(*cursor.runs, *opened),
            revision=cursor.revision + 1,
            departures=cursor.departures,
        )

    await mirror.ledger.change_cursor(change)
    if plan.base is not None and plan.base.asked == 0:
        await mirror.storage.delete([layout.TODO])  # all of it is planned now
    if plan.selected is not None:
        await mirror.ledger.write_selected(plan.selected)
    elif plan.base is None and await mirror.ledger.selected() is None:
        await mirror.ledger.write_selected(mirror.selected)
    for run in runs:
        logger.info("run opened", extra={"run": run.run, "jobs": len(run.jobs), "until": run.until})
    return [run.run for run in runs]


def _split(plan: Plan) -> Sequence[Run]:
    """Make runs of a plan: stages of its changes, and one run of its retries.

    Retries are of the past: they do not hold back the mirror's serial.
    """
    created = time.time()
    since = until = None
    if plan.base is not None and plan.cursor is not None and plan.cursor.serial is not None:
        since, until = plan.base.serial or 0, plan.cursor.serial
    changes = sorted(plan.jobs.keys() - plan.retries)
    stages = [
        changes[start : start + _LARGEST_RUN] for start in range(0, len(changes), _LARGEST_RUN)
    ]

    def run(jobs: Sequence[NormalizedName], run_id: RunId) -> Run:
        names = frozenset(jobs)
        return Run(
            run=run_id,
            created=created,
            since=since,
            until=until,
            jobs={project: plan.jobs[project] for project in jobs},
            allowed_removals={
                project: plan.allowed_removals[project]
                for project in plan.allowed_removals.keys() & names
            },
            named=plan.named & names,
            recovering=plan.recovering & names,
            migrating=plan.migrating,
        )

    ids = _run_ids(created)
    runs = [run(stage, next(ids)) for stage in stages]
    if plan.retries:
        retried = run(sorted(plan.retries), next(ids))
        runs.append(replace(retried, since=None, until=None))
    return runs


async def _send(mirror: Mirror, queue: Queue, deadline: float) -> None:
    runs = (await mirror.ledger.cursor()).runs
    stages = sum(run.staged and run.sent is not None for run in runs)
    for waiting in runs:
        if waiting.sent is not None or (waiting.staged and stages >= _STAGES_AT_ONCE):
            continue
        run = await mirror.ledger.plan(waiting.run)
        jobs = [run.job(project) for project in run.jobs]
        if await asyncio.to_thread(queue.send, jobs, deadline=deadline) < len(jobs):
            logger.info("sending goes on at the next tick", extra={"run": run.run})
            return
        stages += waiting.staged
        await mirror.ledger.change_cursor(lambda now: _sent(now, run.run))  # noqa: B023


def _sent(cursor: Cursor, run: RunId) -> Cursor:
    now = time.time()
    return replace(
        cursor,
        runs=tuple(
            replace(entry, sent=now) if entry.run == run and entry.sent is None else entry
            for entry in cursor.runs
        ),
    )


def _run_ids(created: float) -> Iterator[RunId]:
    """Give names in the order of time, also those that are given within one second."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(created))
    chance = secrets.token_hex(3)
    number = 0
    while True:
        yield RunId(f"{stamp}.{int(created % 1 * 1_000_000):06}-{chance}-{number:03}")
        number += 1
