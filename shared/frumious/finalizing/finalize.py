"""One tick of the finalizer: the inbox is consumed, finished runs are closed.

Every step may be done twice. Reports are deleted last: a finalizer that dies anywhere is followed
by one that consumes them again. The root index is replaced only as it was before the inbox was
read, so that a finalizer that was overtaken fails instead of publishing something older.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.errors import Reason
from frumious.finalizing.announcements import Announcer
from frumious.finalizing.change_feed import record_changes
from frumious.finalizing.closure import note_dependencies
from frumious.finalizing.completion import RunReview, review_run
from frumious.finalizing.diff_file import DiffFile
from frumious.finalizing.lagging import obsolete_jobs, update_lagging
from frumious.finalizing.ripening import note_held_back
from frumious.finalizing.root_index import publish_root_index, root_index_etag
from frumious.finalizing.status import Freshness, publish_status
from frumious.finalizing.unlisted import forget_absent, remember_excluded
from frumious.finalizing.unverified import note_unverified
from frumious.model.jobs import Job, Report, Result, failure
from frumious.model.pages import DelistedProject, ListedProject
from frumious.model.runs import Cursor, Departure, Lagging, run_id, run_order
from frumious.state import inbox
from frumious.state.ledger import LaggingFile
from frumious.state.objects import LedgerCorrupt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.finalizing.ripening import Waiting
    from frumious.finalizing.root_index import Totals
    from frumious.messaging.events import Event
    from frumious.mirror import Mirror
    from frumious.model.types import RunId

logger = logging.getLogger(__name__)

_HOUR: Final = 3600  # seconds
_KEPT: Final = 7 * 24 * _HOUR  # seconds that a closed run's plan is kept
_LATE: Final = 2 * _HOUR  # seconds; a message that a crashed worker had is visible again by then
_CRASHED: Final = Reason.NO_RESULT.explain(
    "its worker crashed, or ran out of memory or time, at each of its deliveries"
)


@dataclass(frozen=True, slots=True)
class Finalized:
    """What one tick of the finalizer did."""

    reports: Sequence[Report]  # that were published, with the failures that runs gave up on
    closed: Sequence[RunReview]
    lagging: int  # projects
    open: int  # runs
    freshness: Freshness
    obsolete: Sequence[Job]  # dead letters that nobody waits for any more

    @property
    def results(self) -> list[Result]:
        """What the reports say."""
        return [report.result for report in self.reports]


async def finalize(
    mirror: Mirror,
    *,
    dead: Sequence[Job] = (),
    publish_events: Callable[[Iterable[Event]], Awaitable[None]] | None = None,
    deadline: float = math.inf,
    cursor: Cursor | None = None,
) -> Finalized:
    """Publish what the inbox reports, and close the runs that wait for nothing any more.

    `dead` are the jobs on the dead-letter queue. After the `deadline` (by time.monotonic()) no
    more reports are read. With `cursor`, as this process has just written it, the tick need not
    read it to find out whether there is anything to do.

    Raises:
        Conflict: another finalizer is at work; the next tick goes on.
    """
    ledger, now = mirror.ledger, mirror.clock.now()
    cursor = (cursor or await ledger.cursor()).at(now)
    lags = cursor.lagging and not (dead or cursor.runs) and not await ledger.end_lagging(cursor)
    if not (dead or cursor.runs or lags or _divides(cursor, mirror)):
        return await _refresh_status(cursor, mirror, now)
    root_etag = await root_index_etag(mirror.pages)
    announcer = Announcer(await DiffFile.open(mirror), publish_events)
    consumed = await inbox.read(mirror.storage, deadline=deadline)
    # Only now: a finalizer deletes a report after it has written what follows from it.
    cursor = await _read_cursor(mirror, consumed, now)
    lagging_file = await ledger.lagging_file() if cursor.lagging else LaggingFile({})
    lagging = lagging_file.projects
    tidying = now >= cursor.tidied + _HOUR
    open_runs = {entry.run for entry in cursor.runs}
    crashed = [Report(job, failure(job, _CRASHED)) for job in dead if job.run in open_runs]
    reports = _in_order((*consumed.reports, *crashed), now)
    reviews, lost = await _review_runs(cursor, reports, lagging, mirror, now)
    closed = [review for review in reviews if review.finished]
    accepted = [report for report in reports if report.result.outcome.done]
    accepted += [report for review in reviews for report in review.failures]
    accepted = _in_order(accepted, now)
    after = _advance(cursor, closed, lost, accepted, now)

    def updated(lagging: Mapping[NormalizedName, Lagging]) -> Mapping[NormalizedName, Lagging]:
        pause = mirror.config.retry_pause
        return update_lagging(lagging, accepted, cursor.departures, pause=pause, now=now)

    if any(report.result.error is not None for report in accepted):
        lagging = await ledger.add_lagging(lambda lagging: {**lagging, **updated(lagging)})
    totals = None
    if accepted or closed or (root_etag is not None and _divides(cursor, mirror)):
        changes = changes_of(accepted, cursor.departures, now)
        totals = await publish_root_index(
            changes,
            after.mirror_serial,
            mirror.pages,
            resets=after.resets,
            replacing=root_etag,
            verify=tidying,
        )
        await record_changes(accepted, consumed, after.mirror_serial, mirror)
        await announcer.announce(accepted, reviews, consumed, mirror)
    waiting = await note_held_back(accepted, cursor, mirror) if accepted else None
    unverified = await note_unverified(accepted, cursor, mirror)
    after = replace(after, unverified=unverified)
    revision = await note_dependencies(accepted, cursor, mirror)
    freshness = Freshness.of(after, now)
    await publish_status(
        closed,
        freshness,
        totals,
        updated(lagging),
        mirror.pages,
        waiting=waiting,
        now=now,
        changed=bool(accepted or closed),
    )
    for review in reviews:
        if review.changed and not review.finished:
            await ledger.write_progress(review.entry.run, review.progress, replacing=review.etag)
    # Only now: while no run is open, the inbox is read because a project lags.
    if lagging.keys() - updated(lagging).keys():
        lagging = await ledger.change_lagging(updated)
    if totals is not None or lost:
        after = await ledger.change_cursor(
            lambda current: _note(
                replace(
                    _advance(current, closed, lost, accepted, now),
                    closure=current.closure.noting(revision),
                ),
                lags=bool(lagging) or current.failures != lagging_file.failures,
                waiting=waiting,
                totals=totals,
                shards=mirror.config.root_index_shards,
                unverified=unverified,
                tidied=now - now % _HOUR if closed and tidying else current.tidied,
            )
        )
    await forget_absent(accepted, ledger)
    await remember_excluded(accepted, mirror)
    await mirror.storage.delete(consumed.keys)
    if closed and tidying:
        # By a clock that is ahead, the plan of a run that is about to open would be old.
        before = min(run_id(now - _KEPT), *(review.entry.run for review in closed))
        await ledger.prune(before, keeping=[entry.run for entry in after.runs])
    return Finalized(
        reports=accepted,
        closed=closed,
        lagging=len(lagging),
        open=len(after.runs),
        freshness=freshness,
        obsolete=obsolete_jobs(dead, {entry.run for entry in after.runs}, lagging, now),
    )


def _divides(cursor: Cursor, mirror: Mirror) -> bool:
    """Return whether `root-index-shards` has changed since the root index was published."""
    return cursor.shards != mirror.config.root_index_shards


async def _refresh_status(cursor: Cursor, mirror: Mirror, now: float) -> Finalized:
    """Do what is to do while no job is expected, without a listing: it costs next to nothing.

    A job that came twice may still leave a report; the next run's finalizer consumes it.
    """
    freshness = Freshness.of(cursor, now)
    await publish_status((), freshness, None, {}, mirror.pages, now=now, changed=False)
    return Finalized(reports=(), closed=(), lagging=0, open=0, freshness=freshness, obsolete=())


async def _read_cursor(mirror: Mirror, consumed: inbox.Inbox, now: float) -> Cursor:
    """Read the cursor, and the results of the runs that version 0 began.

    A run that a wrong clock sent in the future is closed by its deadline from now on.
    """
    stored = await mirror.ledger.cursor()
    cursor = stored.at(now)
    if cursor.runs != stored.runs:
        cursor = await mirror.ledger.change_cursor(lambda current: current.at(now))
    for entry in cursor.runs:
        if entry.own_results:
            try:
                run = await mirror.ledger.plan(entry.run)
            except LedgerCorrupt:
                continue  # the run is lost, as its review finds out
            await inbox.read_own_results(mirror.storage, run, consumed)
    return cursor


async def _review_runs(
    cursor: Cursor,
    reports: Iterable[Report],
    lagging: Mapping[NormalizedName, Lagging],
    mirror: Mirror,
    now: float,
) -> tuple[list[RunReview], list[RunId]]:
    """Return what the reports mean for the open runs, and the runs whose plan is gone."""
    by_run: defaultdict[RunId, list[Report]] = defaultdict(list)
    for report in reports:
        by_run[report.job.run].append(report)
    reviews: list[RunReview] = []
    lost: list[RunId] = []
    for entry in cursor.runs:
        try:
            review = await review_run(
                entry,
                by_run[entry.run],
                lagging,
                mirror.ledger,
                now=now,
                run_deadline=mirror.config.run_deadline,
            )
        except LedgerCorrupt as error:
            logger.error("run %s is lost: %s", entry.run, error)  # noqa: TRY400 (says it all)
            lost.append(entry.run)
            continue
        if review is not None:
            reviews.append(review)
    return reviews, lost


def changes_of(
    reports: Iterable[Report], departures: Mapping[NormalizedName, Departure], now: float
) -> dict[NormalizedName, ListedProject | DelistedProject]:
    """Return what the reports, the oldest runs first, change in the root index.

    `departures` are projects that newer runs took out: an older run does not list them again.
    """
    changes: dict[NormalizedName, ListedProject | DelistedProject] = {}
    for report in reports:
        project, change = report.job.project, _change(report)
        before, departure = changes.get(project), departures.get(project)
        if change is None:
            continue
        if departure is not None and departure.overrules(report.job.run, change.serial, now):
            continue
        if before is None or change.rewinding or (change.serial or 0) >= (before.serial or 0):
            changes[project] = change
    return changes


def _change(report: Report) -> ListedProject | DelistedProject | None:
    result = report.result
    if not result.outcome.done:
        return None
    if result.listed:
        return ListedProject(
            result.name, result.serial, result.files, result.bytes_, report.job.rewinding
        )
    return DelistedProject(result.serial, report.job.rewinding)


def _advance(
    cursor: Cursor,
    closed: Sequence[RunReview],
    lost: Sequence[RunId],
    reports: Iterable[Report],
    now: float,
) -> Cursor:
    """Take the closed and the lost runs out, and remember which projects left."""
    for run in lost:
        cursor = cursor.without_lost_run(run)
    ids = {review.entry.run for review in closed}
    runs = tuple(entry for entry in cursor.runs if entry.run not in ids)
    departures = dict(cursor.departures)
    for report in reports:
        before = departures.get(report.job.project)
        if isinstance(_change(report), DelistedProject):
            departure = Departure(report.job.run, report.result.serial or 0)
            if before is None or run_order(before.run, now) < run_order(departure.run, now):
                departures[report.job.project] = departure
    # No result can be older than the oldest open run, or than what a worker may still hold.
    runs_at_work = (run_id(now - _LATE), *(entry.run for entry in runs))
    oldest = min(run_order(run, now) for run in runs_at_work)
    recent = {
        project: left for project, left in departures.items() if run_order(left.run, now) > oldest
    }
    return replace(cursor, runs=runs, departures=recent)


def _note(  # noqa: PLR0913 (what a tick finds out)
    cursor: Cursor,
    *,
    lags: bool,
    waiting: Waiting | None,
    totals: Totals | None,
    shards: int,
    unverified: int,
    tidied: float,
) -> Cursor:
    """Keep in the cursor what ticks without work would otherwise read elsewhere."""
    lagging = cursor.lagging and lags
    cursor = replace(cursor, lagging=lagging, unverified=unverified, tidied=tidied)
    if waiting is not None:
        cursor = waiting.note(cursor)
    if totals is None:
        return cursor
    return replace(
        cursor,
        projects=totals.projects,
        files=totals.files,
        bytes_=totals.bytes_,
        shards=shards,
    )


def _in_order(reports: Iterable[Report], now: float) -> list[Report]:
    """Return the reports, those of the oldest runs first."""
    return sorted(reports, key=lambda report: run_order(report.job.run, now))
