"""What is kept of projects that are not in the mirror, so that planners need not ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.model.jobs import Outcome
from frumious.model.runs import run_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.jobs import Report
    from frumious.model.named import NamedProjects
    from frumious.state.ledger import Ledger


async def remember_excluded(reports: Iterable[Report], mirror: Mirror) -> None:
    """Remember the projects that the current filters exclude by their pages.

    A result of other filters does not count: a planner with the current ones plans the project.
    """
    results = [report.result for report in reports if report.result.excluded_by]
    if not results:
        return
    filters = mirror.selection.projects_fingerprint
    excluded = {each.project: each.serial or 0 for each in results if each.excluded_by == filters}
    if excluded:
        await mirror.ledger.add_excluded(excluded, filters)


async def forget_absent(reports: Iterable[Report], ledger: Ledger) -> None:
    """Forget the requests for projects that upstream does not have, or no longer.

    Somebody else may register such a name later.
    """
    absent = {
        report.job.project: report.job.run
        for report in reports
        if report.job.named and report.result.outcome in {Outcome.ABSENT, Outcome.REMOVED}
    }
    if not absent:
        return

    def forgotten(named: NamedProjects) -> list[NormalizedName]:
        later = named.requested.items()
        return [name for name, at in later if name in absent and run_id(at) <= absent[name]]

    if forgotten(await ledger.named()):
        await ledger.change_named(lambda named: named.forgetting(forgotten(named)))
