"""Open a plan's runs, and send their jobs to the queue.

One write opens all runs of a plan and moves the cursor; then the jobs are sent. Whatever a
killed process leaves unsent is sent at the next tick.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections import defaultdict
from typing import TYPE_CHECKING, Final, Protocol

from msgspec.structs import replace

from frumious.errors import FrumiousError
from frumious.model import layout
from frumious.model.plans import Reason
from frumious.model.runs import OpenRun, Run, run_id
from frumious.model.types import RunId
from frumious.planning.named import settle
from frumious.private.refresh import refresh
from frumious.state.objects import LedgerCorrupt
from frumious.state.private_listing import write_listing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.jobs import Job
    from frumious.model.plans import Plan
    from frumious.model.runs import Cursor
    from frumious.selection.private import PrivateProjects
    from frumious.state.ledger import Ledger

logger = logging.getLogger(__name__)

_MAX_RUN_SIZE: Final = 10_000  # jobs; a larger plan becomes several runs, its stages
# So that later changes do not wait behind all of PyPI, and no job grows old on the queue.
_CONCURRENT_STAGES: Final = 3
_MAX_LOGGED: Final = 100  # removed projects in one log record


class Queue(Protocol):
    """Where jobs are sent to: SQS, or the process itself."""

    def send(self, jobs: Iterable[Job], *, deadline: float = math.inf) -> int:
        """Take jobs until the deadline, and return how many."""


class _Overtaken(FrumiousError):
    """Another planner moved the cursor that the plan was made from."""


async def start_runs(
    plan: Plan | None,
    mirror: Mirror,
    queue: Queue,
    *,
    deadline: float = math.inf,
    in_process: bool = False,
) -> list[RunId]:
    """Open a plan's runs if it may start, and send all jobs that are not sent yet.

    `deadline` is by time.monotonic(): what is not sent by then is left to the next tick. With
    `in_process` the queue ends with the process: runs count as sent when they are opened. Returns
    the runs that were opened: none where there is nothing to do, or where another planner was
    faster.

    Raises:
        QueueUnavailable: not all jobs were sent; the next tick sends them.
    """
    opened: Sequence[Run] = ()
    cursor: Cursor | None = None
    if plan is not None and plan.starts:
        opened, cursor = await _open(plan, mirror, in_process=in_process)
        if cursor is not None and plan.settles_named:
            deleted, selection = plan.deleted, mirror.selection
            await mirror.ledger.change_named(lambda named: settle(named, selection, deleted))
    if cursor is None:
        cursor = await mirror.ledger.cursor()
    await _send(opened, cursor, queue, mirror, deadline)
    return [run.run for run in opened]


async def _open(
    plan: Plan, mirror: Mirror, *, in_process: bool
) -> tuple[Sequence[Run], Cursor | None]:
    """Store the runs' plans, then open the runs and move the cursor in one write.

    Returns the runs and that cursor; neither if another planner was faster.
    """
    ledger = mirror.ledger
    now = mirror.clock.now()
    await _keep_private_names(plan, mirror)
    if plan.needed is not None:
        await ledger.write_needed(plan.needed)
    runs = _split(plan, now, mirror.selection.private)
    staged = len(plan.jobs) > _MAX_RUN_SIZE
    for run in runs:
        await ledger.write_plan(run, in_memory=in_process)
    opened = tuple(
        OpenRun(
            run=run.run,
            since=run.since,
            behind=plan.outdated_since,
            sent=now if in_process and not staged else None,
            staged=staged,
            retries=plan.retries & run.jobs.keys(),
            jobs=len(run.jobs),
        )
        for run in runs
    )

    try:
        moved = await ledger.change_cursor(lambda cursor: _moved(cursor, plan, opened))
    except _Overtaken:
        logger.info("another planner was faster")
        return (), None
    if plan.base is not None and plan.base.asked == 0:
        await mirror.storage.delete([layout.TODO])  # the plan has all of it
    await _keep_planned(plan, mirror)
    _log_removals(plan)
    for run in runs:
        logger.info("run opened", extra={"run": run.run, "jobs": len(run.jobs), "until": run.until})
    return runs, moved


async def _keep_private_names(plan: Plan, mirror: Mirror) -> None:
    """Keep which names are private before there are jobs: workers have to know them."""
    listing = plan.private
    if plan.base is None and mirror.private is not None:  # nobody has listed the directory
        stored, found = await refresh(mirror)
        listing = found if found != stored else None
    if listing is not None:
        await write_listing(listing, mirror.storage)


async def _keep_planned(plan: Plan, mirror: Mirror) -> None:
    """Keep what the runs, which are open now, were planned for."""
    ledger = mirror.ledger
    if plan.private is not None:
        await write_listing(plan.private.planning(plan.withheld), mirror.storage)
    if plan.selected is not None:
        await ledger.write_selected(plan.selected)
    elif plan.base is None and plan.jobs and await ledger.selected() is None:
        await ledger.write_selected(mirror.selected)


def _moved(cursor: Cursor, plan: Plan, opened: tuple[OpenRun, ...]) -> Cursor:
    """Return the cursor to which a plan leads, with the runs that it opens.

    Raises:
        _Overtaken: another planner was faster.
    """
    open_now = {run.run for run in cursor.runs}
    others = plan.known_runs is not None and open_now - plan.known_runs
    if others or (plan.advisories and plan.known_digest != cursor.advisories.digest):
        raise _Overtaken
    kept = tuple(run for run in cursor.runs if not (plan.reset and run.counts))
    open_runs = (*kept, *opened)
    if plan.base is None or plan.cursor is None:
        feed = cursor.advisories if plan.advisories is None else plan.advisories
        return replace(cursor, runs=open_runs, advisories=feed)
    if cursor.revision != plan.base.revision:
        raise _Overtaken
    return replace(
        plan.cursor,
        runs=open_runs,
        revision=cursor.revision + 1,
        selecting=plan.cursor.selecting if plan.selected is None else plan.selected.fingerprint,
        named=cursor.named or plan.cursor.named,  # somebody may have named projects since
        notices=cursor.notices,
        advisories=cursor.advisories,
        departures=cursor.departures,
        lagging=cursor.lagging,
        failures=cursor.failures,
        tidied=cursor.tidied,
        projects=cursor.projects,
        files=cursor.files,
        bytes_=cursor.bytes_,
        unverified=cursor.unverified,
        ripening=cursor.ripening.merging(plan.base.ripening, plan.cursor.ripening),
        closure=cursor.closure.merging(plan.base.closure, plan.cursor.closure),
    )


def _log_removals(plan: Plan) -> None:
    removals: defaultdict[Reason, list[NormalizedName]] = defaultdict(list)
    for project, reason in sorted(plan.removals.items()):
        removals[reason].append(project)
    for reason, projects in removals.items():
        extra = {"reason": reason.value, "projects": len(projects), "names": projects[:_MAX_LOGGED]}
        logger.info("projects are removed", extra=extra)


def _split(plan: Plan, created: float, private: PrivateProjects) -> Sequence[Run]:
    """Split a plan into runs: stages of its changes, and one run of its retries.

    Retries make up for the past: they do not hold back the mirror's serial. A project with a new
    event does, also if it is retried: a late result of an earlier job may end that it lags.
    """
    since = until = None
    if plan.base is not None and plan.cursor is not None:
        since, until = plan.base.serial, plan.cursor.serial
        # Also where the cursor has no serial yet: it must not pass these jobs once it gets one.
        if until is not None or plan.cursor.upstream is not None:
            since = since or 0
    run_ids = f"{run_id(created)}.{int(created % 1 * 1_000_000):06}-{secrets.token_hex(3)}"

    def run(number: int, projects: Sequence[NormalizedName]) -> Run:
        names = frozenset(projects)
        allowed = plan.allowed_removals
        return Run(
            run=RunId(f"{run_ids}-{number:03}"),  # names are in the order of time
            created=created,
            since=since,
            until=until,
            jobs={project: plan.jobs[project] for project in projects},
            allowed_removals={project: allowed[project] for project in allowed.keys() & names},
            named=plan.named & names,
            recovering=plan.recovering & names,
            rewinding=frozenset(
                name for name in names if name in plan.rewinding or private.has(name)
            ),
            delisted=plan.delisted & names,
            migrating=plan.migrating,
            confirmed=plan.confirmed & names,
            quarantined=plan.quarantined & names,
            due={project: plan.due[project] for project in plan.due.keys() & names},
            digests={project: plan.digests[project] for project in plan.digests.keys() & names},
        )

    retries = [name for name in sorted(plan.retries) if plan.reasons[name] is Reason.LAGGING]
    changes = sorted(plan.jobs.keys() - {*retries})
    starts = range(0, len(changes), _MAX_RUN_SIZE)
    stages = (changes[start : start + _MAX_RUN_SIZE] for start in starts)
    runs = [run(number, stage) for number, stage in enumerate(stages)]
    if retries:
        runs.append(replace(run(len(runs), retries), since=None, until=None))
    return runs


async def _send(
    opened: Sequence[Run], cursor: Cursor, queue: Queue, mirror: Mirror, deadline: float
) -> None:
    """Send the jobs of all unsent runs, those of `opened` from memory, until the deadline."""
    ledger, runs = mirror.ledger, cursor.runs
    in_memory = {run.run: run for run in opened}
    stages = sum(run.staged and run.sent is not None for run in runs)
    for unsent in runs:
        run = in_memory.get(unsent.run)
        is_sent = unsent.sent is not None and run is None
        if is_sent or (unsent.staged and stages >= _CONCURRENT_STAGES):
            continue
        run = run or await _read_plan(unsent.run, ledger)
        if run is None:
            continue
        jobs = [run.job(project) for project in run.jobs]
        if await asyncio.to_thread(queue.send, jobs, deadline=deadline) < len(jobs):
            logger.info("the next tick sends the remaining jobs", extra={"run": run.run})
            return
        stages += unsent.staged
        if unsent.sent is not None:
            continue
        sent = mirror.clock.now()
        await ledger.change_cursor(lambda now: _mark_sent(now, run.run, sent))  # noqa: B023


async def _read_plan(run: RunId, ledger: Ledger) -> Run | None:
    """Return the plan of an earlier run; without one, the run is dropped as lost."""
    try:
        return await ledger.plan(run)
    except LedgerCorrupt:
        logger.exception("run lost: the next tick compares all projects", extra={"run": run})
        await ledger.change_cursor(lambda cursor: cursor.without_lost_run(run))
        return None


def _mark_sent(cursor: Cursor, run: RunId, sent: float) -> Cursor:
    runs = tuple(
        replace(entry, sent=sent) if entry.run == run and entry.sent is None else entry
        for entry in cursor.runs
    )
    return replace(cursor, runs=runs)
