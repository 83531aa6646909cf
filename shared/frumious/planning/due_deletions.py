"""Projects whose removed files are due for deletion."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from frumious.model import layout

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.runs import Cursor

_INTERVAL: Final = 3600  # seconds
_MAX_DUE: Final = 10_000  # projects in one plan


async def read_due(
    cursor: Cursor, lagging: Container[NormalizedName], mirror: Mirror, now: float
) -> Mapping[NormalizedName, tuple[str, ...]] | None:
    """Return these projects and the hours: once an hour, with one listing; None: it is not time.

    Lagging projects come later: their jobs are likely to fail.
    """
    if now < cursor.deletions + _INTERVAL:
        return None
    this_hour, at_once = layout.hour(now), not mirror.config.delete_after
    due: defaultdict[NormalizedName, list[str]] = defaultdict(list)
    async for entry in mirror.storage.list(layout.DELETIONS):
        deletion = layout.deletion_of(entry.key)
        if deletion is None:
            continue
        hour, project = deletion
        if len(due) >= _MAX_DUE or (hour > this_hour and not at_once):
            break
        if project not in lagging:
            due[project].append(hour)
    return {project: tuple(hours) for project, hours in due.items()}
