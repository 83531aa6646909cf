"""What jobs report of the dependencies of their projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.model.closure import Change
from frumious.model.jobs import Outcome
from frumious.state.closure import change_closure_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from frumious.mirror import Mirror
    from frumious.model.jobs import Report
    from frumious.model.runs import Cursor

_GONE = frozenset({Outcome.REMOVED, Outcome.ABSENT, Outcome.EXCLUDED})


async def note_dependencies(reports: Iterable[Report], cursor: Cursor, mirror: Mirror) -> int:
    """Keep what reports say, and return the revision of it for the cursor; 0: nothing is known.

    The reports are deleted later: a finalizer that was killed is followed by one that does it once
    more.
    """
    if mirror.selection.closure is None:
        return 0
    changes = [
        Change(
            report.job.project,
            report.result.serial or 0,
            report.job.rewinding,
            report.result.dependencies,
        )
        for report in reports
        if report.result.outcome in _GONE or report.result.dependencies is not None
    ]
    if not changes:
        return 0
    file = await change_closure_file(changes, cursor.closure.revision, mirror.storage)
    return 0 if file is None else file.revision
