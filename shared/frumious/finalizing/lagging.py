"""Which projects lag behind upstream after some reports. Pure."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.errors import Reason
from frumious.model.jobs import AllowedRemoval
from frumious.model.runs import MAX_PAUSE, Lagging, run_order

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.model.jobs import Job, Report
    from frumious.model.runs import Departure
    from frumious.model.types import RunId

_MAX_DOUBLINGS: Final = 20


def update_lagging(
    lagging: Mapping[NormalizedName, Lagging],
    reports: Iterable[Report],
    departures: Mapping[NormalizedName, Departure],
    *,
    pause: float,
    now: float,
) -> dict[NormalizedName, Lagging]:
    """Add the projects that failed, and take out those that are in step again.

    `departures` are projects that newer runs took out of the mirror: nobody waits for them any
    more. `pause` is how many seconds pass until the first retry of a project; it is doubled with
    each failure. Doing it twice with the same reports, the oldest runs first, changes nothing.
    """
    updated = dict(lagging)
    for report in reports:
        job, project = report.job, report.job.project
        before, departure = updated.get(project), departures.get(project)
        if report.result.error is None:
            if before is not None and _is_in_step(before, report, now):
                del updated[project]
        elif departure is None or not departure.overrules(job.run, job.serial, now):
            updated[project] = _failed(report, before, pause=pause, now=now)
    return updated


def obsolete_jobs(
    dead: Sequence[Job],
    open_runs: Container[RunId],
    lagging: Container[NormalizedName],
    now: float,
) -> list[Job]:
    """Return the dead letters that nobody waits for: of a lagging project all but the last one."""
    in_order = sorted(dead, key=lambda job: run_order(job.run, now))
    last = {job.project: job.run for job in in_order}
    return [
        job
        for job in dead
        if job.run not in open_runs and (job.project not in lagging or job.run != last[job.project])
    ]


def _is_in_step(before: Lagging, report: Report, now: float) -> bool:
    """Return whether a success reaches what the project lags behind, and is not older than that."""
    serial = report.result.serial
    allowed, rewinding = report.job.allowed_removal, report.job.rewinding
    if serial is None and before.serial and allowed < AllowedRemoval.PROJECT and not rewinding:
        return False  # asked for by name, and upstream's caches may not have the project yet
    if serial is not None and serial != before.serial and not (rewinding or report.job.delisted):
        return serial > before.serial
    return run_order(report.job.run, now) >= run_order(before.run, now)


def _failed(report: Report, before: Lagging | None, *, pause: float, now: float) -> Lagging:
    """Return what is known of a project after a failure."""
    job = report.job
    if Reason.public(report.result.error or "") is Reason.STORAGE_FULL:
        pause = 0.0  # what upstream has is right, and the next run finds out whether there is space
    failure = Lagging(
        serial=job.serial,
        reason=report.result.error or "",
        attempts=1,
        due=now + min(pause, MAX_PAUSE) * _jitter(job.project),
        run=job.run,
        allowed_removal=job.allowed_removal,
        named=job.named,
        quarantined=job.quarantined,
        rewinding=job.rewinding,
        delisted=job.delisted,
        digest=job.digest,
    )
    if before is None:
        return failure
    older, newer = sorted((before, failure), key=lambda each: run_order(each.run, now))
    both = replace(
        before,
        serial=max(before.serial, failure.serial),
        allowed_removal=max(newer.allowed_removal, older.allowed_removal_at(newer.serial)),
        named=before.named or failure.named,
        quarantined=before.quarantined or failure.quarantined,
        rewinding=before.rewinding or failure.rewinding,
        delisted=max(before, failure, key=lambda each: (each.serial, each.delisted)).delisted,
        digest=newer.digest or older.digest,
    )
    if newer.rewinding:
        both = replace(both, serial=newer.serial, delisted=newer.delisted)
    if run_order(before.run, now) >= run_order(job.run, now):
        return both  # this failure was counted, or is of the past
    doubled = pause * 2 ** min(before.attempts, _MAX_DOUBLINGS)
    return replace(
        both,
        reason=failure.reason,
        attempts=before.attempts + 1,
        due=now + min(doubled, MAX_PAUSE) * _jitter(job.project),
        run=job.run,
    )


def _jitter(project: NormalizedName) -> float:
    """Return a factor around 1, the same for the same project: it spreads retries."""
    return 0.9 + zlib.crc32(project.encode()) % 100 / 500
