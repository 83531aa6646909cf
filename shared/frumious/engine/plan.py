"""What changed becomes a run, and the run becomes jobs on the queue.

The run is planned, then opened together with the step of the cursor in one write, then sent.
Whatever is cut off in between is found again at the next tick.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.utils import InvalidName, NormalizedName, canonicalize_name

from frumious.errors import FrumiousError
from frumious.model import Cursor, OpenRun, Run, RunId

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from frumious.engine.mirror import Mirror
    from frumious.model import Lagging
    from frumious.queue import JobQueue

logger = logging.getLogger(__name__)

_RETRIED_AT_ONCE = 1000  # lagging projects that one run takes up again


class InvalidProject(FrumiousError):
    """A name that no project can have."""


def plan_projects(names: Iterable[str], *, may_lose: bool = False) -> Run:
    """Plan a run for named projects, whatever their serial; upstream is not asked.

    With `may_lose` the projects may lose most of their files, though no event says so.

    Raises:
        InvalidProject: a name is none.
    """
    jobs: dict[NormalizedName, int] = {}
    for name in names:
        try:
            jobs[canonicalize_name(name, validate=True)] = 0
        except (InvalidName, TypeError) as error:
            msg = f"{name!r} is not a project's name: letters, digits, '.', '-' and '_' are allowed"
            raise InvalidProject(msg) from error
    losing = frozenset(jobs) if may_lose else frozenset[NormalizedName]()
    return _run(since=None, until=None, jobs=jobs, losing=losing)


async def plan_changes(mirror: Mirror) -> Run | None:
    """Plan a run for what changed upstream since the cursor, and for what is due again.

    The first run takes all that is selected: the allowlist's projects, or the root index's.
    Returns None when there is nothing to do; the cursor has then moved by itself.

    Raises:
        UpstreamUnavailable: upstream did not answer.
    """
    cursor = await mirror.ledger.cursor()
    if cursor.serial is None:
        until = await mirror.upstream.last_serial()  # first: what changes meanwhile comes next
        return _run(since=0, until=until, jobs=await _all_projects(mirror))
    changes = await mirror.upstream.changes_since(cursor.serial)
    wanted = mirror.selection.wants
    jobs = {name: serial for name, serial in changes.projects.items() if wanted(name)}
    retries = await _due(cursor, mirror)
    for name, entry in retries.items():
        jobs[name] = max(entry.serial, jobs.get(name, 0))
    if jobs:
        losing = changes.losing | {name for name, entry in retries.items() if entry.losing}
        return _run(
            since=cursor.serial,
            until=changes.serial,
            jobs=jobs,
            losing=frozenset(jobs.keys() & losing),
            retries=frozenset(retries),
        )
    await mirror.ledger.change_cursor(lambda now: _moved(now, changes.serial))
    return None


async def start_run(run: Run | None, mirror: Mirror, queue: JobQueue) -> Run | None:
    """Open a planned run and send its jobs, and those of runs that were cut off before.

    Raises:
        QueueUnavailable: not all jobs were sent; the next tick sends them.
    """
    if run is not None:
        await _open_run(run, mirror)
    for unsent in (await mirror.ledger.cursor()).runs:
        if not unsent.sent:
            plan = await mirror.ledger.plan(unsent.run)
            await asyncio.to_thread(queue.send, [plan.job(project) for project in plan.jobs])
            await mirror.ledger.change_cursor(lambda now: _sent(now, plan.run))  # noqa: B023
    return run


async def _open_run(run: Run, mirror: Mirror) -> None:
    """Keep the plan, then open the run and move the cursor in one write."""
    await mirror.ledger.write_plan(run)
    opened = OpenRun(run=run.run, since=run.since, sent=False, retries=run.retries)

    def change(cursor: Cursor) -> Cursor:
        return replace(_moved(cursor, run.until), runs=(*cursor.runs, opened))

    await mirror.ledger.change_cursor(change)
    logger.info("run opened", extra={"run": run.run, "jobs": len(run.jobs), "until": run.until})


async def _all_projects(mirror: Mirror) -> Mapping[NormalizedName, int]:
    exact = mirror.selection.exact_projects
    if exact is not None:
        return {name: 0 for name in sorted(exact) if mirror.selection.wants(name)}
    index = await mirror.upstream.root_index()
    return {
        name: listed.serial or 0
        for name, listed in index.projects.items()
        if mirror.selection.wants(name)
    }


async def _due(cursor: Cursor, mirror: Mirror) -> dict[NormalizedName, Lagging]:
    """Return the lagging projects whose pause is over and that no open run has taken up."""
    taken = {name for run in cursor.runs for name in run.retries}
    now = time.time()
    due = {
        name: entry
        for name, entry in (await mirror.ledger.lagging()).items()
        if entry.due <= now and name not in taken
    }
    return dict(list(due.items())[:_RETRIED_AT_ONCE])


def _run(
    *,
    since: int | None,
    until: int | None,
    jobs: Mapping[NormalizedName, int],
    losing: frozenset[NormalizedName] = frozenset(),
    retries: frozenset[NormalizedName] = frozenset(),
) -> Run:
    now = time.time()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
    return Run(
        run=RunId(f"{stamp}-{secrets.token_hex(4)}"),
        created=now,
        since=since,
        until=until,
        jobs=jobs,
        losing=losing,
        retries=retries,
    )


def _moved(cursor: Cursor, serial: int | None) -> Cursor:
    if serial is None or serial <= (cursor.serial or 0):
        return cursor
    return replace(cursor, serial=serial)


def _sent(cursor: Cursor, run: RunId) -> Cursor:
    return replace(
        cursor,
        runs=tuple(
            replace(entry, sent=True) if entry.run == run else entry for entry in cursor.runs
        ),
    )
