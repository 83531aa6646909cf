"""Runs whose jobs all have a result are closed: root index, lagging projects, status, diff-file.

Every step may be done twice, and the runs are closed last: a finalizer that dies anywhere is
simply followed by the next one, and one that was overtaken by another writes nothing older over
what that one wrote.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from frumious.finalizing.completion import ClosedRun, close_runs, record_deaths
from frumious.finalizing.diff_file import Diff
from frumious.finalizing.lagging import update_lagging
from frumious.finalizing.root_index import publish_root_index, root_index_tag
from frumious.finalizing.status import Freshness, publish_status
from frumious.finalizing.summaries import events_of
from frumious.model.jobs import Job, Outcome, Result
from frumious.model.pages import DelistedProject, ListedProject
from frumious.model.runs import Cursor, Departure
from frumious.model.types import RunId

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.messaging.events import Event
    from frumious.mirror import Mirror

_REMEMBERED: Final = 7 * 24 * 3600  # seconds that a closed run's plan and results are kept


@dataclass(frozen=True, slots=True)
class Finalized:
    """What one tick of the finalizer did."""

    closed: Sequence[ClosedRun]
    lagging: int  # projects
    open: int  # runs
    freshness: Freshness
    done_with: Sequence[Job]  # dead letters that nobody waits for any more


async def finalize(
    mirror: Mirror,
    *,
    dead: Sequence[Job] = (),
    publish_events: Callable[[Iterable[Event]], Awaitable[None]] | None = None,
    deadline: float = math.inf,
) -> Finalized:
    """Close the runs that are complete or past their deadline, and publish what they changed.

    `dead` are the jobs on the dead-letter queue; `publish_events` hears what happened; after the
    `deadline` (by time.monotonic()) no more runs are begun with.

    Raises:
        Conflict: another finalizer is at it; the next tick goes on.
    """
    root_etag = await root_index_tag(mirror)
    diff = await Diff.look(mirror)
    cursor = await mirror.ledger.cursor()
    await record_deaths(dead, cursor, mirror)
    lagging = await mirror.ledger.lagging()
    cursor, closed = await close_runs(cursor, lagging, mirror, deadline=deadline)
    after = _without(cursor, closed)
    totals = None
    if closed:
        pause, now = mirror.config.retry_pause, time.time()
        lagging = await mirror.ledger.change_lagging(
            lambda lagging: update_lagging(lagging, closed, cursor.gone, pause=pause, now=now)
        )
        changes = changes_of(closed, cursor.gone)
        totals = await publish_root_index(changes, after.mirror_serial, mirror, replacing=root_etag)
        await diff.publish(closed, mirror)
        if publish_events is not None:
            await publish_events(events_of(closed, mirror.pages))
    freshness = Freshness.of(after, time.time())
    await publish_status(closed, freshness, totals, lagging, mirror)
    if closed:
        after = await mirror.ledger.change_cursor(lambda now: _without(now, closed))
        await _prune(after, mirror)
    waiting = {run.run for run in after.runs}
    return Finalized(
        closed=closed,
        lagging=len(lagging),
        open=len(after.runs),
        freshness=freshness,
        done_with=_done_with(dead, waiting, lagging),
    )


def _done_with(
    dead: Sequence[Job], waiting: Container[RunId], lagging: Container[NormalizedName]
) -> list[Job]:
    """Return the dead letters that nobody waits for: of each lagging project the last one stays."""
    last = {job.project: job.run for job in sorted(dead, key=lambda job: job.run)}
    return [
        job
        for job in dead
        if job.run not in waiting and (job.project not in lagging or job.run != last[job.project])
    ]


def changes_of(
    closed: Sequence[ClosedRun], gone: Mapping[NormalizedName, Departure]
) -> dict[NormalizedName, ListedProject | DelistedProject]:
    """Return what the runs change in the root index, the later of two changes of a project.

    `gone` are projects that younger runs took out: an older run does not bring them back.
    """
    changes: dict[NormalizedName, ListedProject | DelistedProject] = {}
    for one in closed:
        for project, result in one.results.items():
            change = _change(result)
            before = changes.get(project)
            left = gone.get(project)
            if change is None or (left is not None and left.overrules(one.run.run, change.serial)):
                continue
            if before is None or (change.serial or 0) >= (before.serial or 0):
                changes[project] = change
    return changes


def _change(result: Result) -> ListedProject | DelistedProject | None:
    if result.outcome in {Outcome.FAILED, Outcome.RETRY_LATER}:
        return None
    if result.listed:
        return ListedProject(result.name, result.serial, result.files, result.bytes_)
    return DelistedProject(result.serial)


def _without(cursor: Cursor, closed: Sequence[ClosedRun]) -> Cursor:
    """Take the closed runs out; remember what left, as long as an older run is open."""
    ids = {one.run.run for one in closed}
    runs = tuple(run for run in cursor.runs if run.run not in ids)
    gone = dict(cursor.gone)
    for one in closed:
        for project, result in one.results.items():
            if isinstance(_change(result), DelistedProject):
                before = gone.get(project)
                if before is None or before.run < one.run.run:
                    gone[project] = Departure(one.run.run, result.serial or 0)
    oldest = min((run.run for run in runs), default=None)
    still = {
        project: left for project, left in gone.items() if oldest is not None and oldest < left.run
    }
    return replace(cursor, runs=runs, gone=still)


async def _prune(cursor: Cursor, mirror: Mirror) -> None:
    before = time.strftime("%Y%m%dT%H%M%S", time.gmtime(time.time() - _REMEMBERED))
    await mirror.ledger.prune(RunId(before), but=[run.run for run in cursor.runs])
