"""Which projects are behind upstream after some runs. Pure."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from frumious.model.runs import Lagging

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.finalizing.completion import ClosedRun
    from frumious.model.jobs import Result
    from frumious.model.runs import Departure, Run

_LONGEST_PAUSE: Final = 6 * 3600  # seconds
_MOST_DOUBLINGS: Final = 20


def update_lagging(
    lagging: Mapping[NormalizedName, Lagging],
    closed: Sequence[ClosedRun],
    gone: Mapping[NormalizedName, Departure],
    *,
    pause: float,
    now: float,
) -> dict[NormalizedName, Lagging]:
    """Add the projects that failed in the closed runs, and take out those that came up.

    `gone` are projects that younger runs took out of the mirror: nobody waits for them any more.
    `pause` is how many seconds pass until a project is tried again, the first time; then twice
    that, and so on. Doing it twice for the same runs changes nothing.
    """
    updated = dict(lagging)
    for one in closed:
        for project, result in one.results.items():
            before = updated.get(project)
            if result.error is None:
                if before is not None and _came_up(before, result, one.run):
                    del updated[project]
            elif not _is_gone(project, gone, one.run):
                updated[project] = _failed(result, one.run, before, pause=pause, now=now)
    return updated


def _is_gone(project: NormalizedName, gone: Mapping[NormalizedName, Departure], run: Run) -> bool:
    left = gone.get(project)
    return left is not None and left.overrules(run.run, run.jobs[project])


def _came_up(before: Lagging, result: Result, run: Run) -> bool:
    """Say whether a project is in step, and all is told that its failed jobs may have done.

    A job that knows of them tells it. One that does not tells it where it publishes anew; where it
    finds nothing to do, what was done stays untold.
    """
    if result.serial is not None and result.serial < before.serial:
        return False
    if before.untold:
        return result.project in run.recovering and run.run > before.run
    return result.project in run.recovering or result.outcome.changed


def _failed(
    result: Result, run: Run, before: Lagging | None, *, pause: float, now: float
) -> Lagging:
    """Return what is known of a project after its failure in a run."""
    project = result.project
    failure = Lagging(
        serial=run.jobs[project],
        reason=result.error or "",
        attempts=1,
        due=now + pause * _apart(project),
        run=run.run,
        allowed_removal=run.job(project).allowed_removal,
        named=project in run.named,
    )
    if before is None:
        return failure
    older, newer = sorted((before, failure), key=lambda each: each.run)
    both = replace(
        before,
        serial=max(before.serial, failure.serial),
        allowed_removal=max(newer.allowed_removal, older.allowed_removal_at(newer.serial)),
        named=before.named or failure.named,
    )
    if before.run >= run.run:
        return both  # this failure was counted, or is of the past
    doubled = pause * 2 ** min(before.attempts, _MOST_DOUBLINGS)
    return replace(
        both,
        reason=failure.reason,
        attempts=before.attempts + 1,
        due=now + min(doubled, _LONGEST_PAUSE) * _apart(project),
        run=run.run,
    )


def _apart(project: NormalizedName) -> float:
    """Spread retries: what failed together, perhaps because of one project, parts here."""
    return 0.9 + zlib.crc32(project.encode()) % 100 / 500
