"""Which projects are behind upstream after some runs. Pure."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from frumious.model import Lagging

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.engine.close import ClosedRun
    from frumious.model import RunId

_LONGEST_PAUSE: Final = 6 * 3600  # seconds
_MOST_DOUBLINGS: Final = 20


def update_lagging(
    lagging: Mapping[NormalizedName, Lagging],
    closed: Sequence[ClosedRun],
    gone: Mapping[NormalizedName, RunId],
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
            if before is not None and before.untold and project not in one.run.again:
                continue
            if result.error is None:
                if before is not None and (result.serial or before.serial) >= before.serial:
                    del updated[project]
            elif gone.get(project, "") > one.run.run:
                continue
            elif before is None or before.run < one.run.run:
                attempts = before.attempts + 1 if before is not None else 1
                doubled = min(attempts - 1, _MOST_DOUBLINGS)
                # Projects that failed together, perhaps because of one of them, part here.
                apart = 0.9 + zlib.crc32(project.encode()) % 100 / 500
                updated[project] = Lagging(
                    serial=max(one.run.jobs[project], before.serial if before else 0),
                    reason=result.error,
                    attempts=attempts,
                    due=now + min(pause * 2**doubled, _LONGEST_PAUSE) * apart,
                    run=one.run.run,
                    losing=project in one.run.losing or (before is not None and before.losing),
                    named=project in one.run.named or (before is not None and before.named),
                )
    return updated
