"""Which projects have faults of their attestations, by what jobs report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.model import layout
from frumious.model.attestations import Unverified, UnverifiedProjects
from frumious.state.replacing import change_or_set_aside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frumious.mirror import Mirror
    from frumious.model.jobs import Report
    from frumious.model.runs import Cursor


async def note_unverified(reports: Sequence[Report], cursor: Cursor, mirror: Mirror) -> int:
    """Keep what the reports, the oldest first, say; return how many projects have faults now.

    Without any, nothing is read. Doing it twice with the same reports changes nothing.
    """
    done = [report for report in reports if report.result.outcome.done]
    if not done or not (cursor.unverified or any(report.result.unverified for report in done)):
        return cursor.unverified

    def change(before: UnverifiedProjects) -> UnverifiedProjects:
        return _after(before, done)

    after = await change_or_set_aside(layout.UNVERIFIED, UnverifiedProjects, change, mirror.storage)
    return len(after.projects)


def _after(before: UnverifiedProjects, reports: Sequence[Report]) -> UnverifiedProjects:
    projects = dict(before.projects)
    for report in reports:
        result, serial = report.result, report.result.serial or 0
        known = projects.get(result.project)
        if known is not None and serial < known.serial and not report.job.rewinding:
            continue
        projects.pop(result.project, None)
        if result.unverified:
            projects[result.project] = Unverified(result.unverified, result.fault, serial)
    return UnverifiedProjects(projects)
