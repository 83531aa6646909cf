"""Projects whose removed files are due for deletion."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from frumious.model import layout
from frumious.state.removed_files import latest_deletion

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.runs import Cursor

_INTERVAL: Final = 3600  # seconds
_DAY: Final = 24 * 3600
_MAX_DUE: Final = 10_000  # projects in one plan


async def read_due(
    cursor: Cursor, lagging: Container[NormalizedName], mirror: Mirror, now: float
) -> Mapping[NormalizedName, tuple[str, ...]] | None:
    """Return these projects and the hours: once an hour, with one listing; None: it is not time.

    Once a day with a second one, for what a clock that was ahead has scheduled.

    Lagging projects come later: their jobs are likely to fail.
    """
    if now < cursor.deletions + _INTERVAL:
        return None
    this_hour, delay = layout.hour(now), mirror.config.delete_after
    due: defaultdict[NormalizedName, list[str]] = defaultdict(list)
    await _read_behind("", "" if not delay else this_hour, due, lagging, mirror)
    if delay and now // _DAY != cursor.deletions // _DAY:  # what a clock that was ahead has left
        await _read_behind(latest_deletion(now, delay), "", due, lagging, mirror)
    return {project: tuple(hours) for project, hours in due.items()}


async def _read_behind(
    first: str,
    last: str,
    due: defaultdict[NormalizedName, list[str]],
    lagging: Container[NormalizedName],
    mirror: Mirror,
) -> None:
    """Add the deletions that are due behind an hour, and up to another; empty: without a limit."""
    after = f"{layout.DELETIONS}{first}0" if first else ""  # behind all keys of the hour
    async for entry in mirror.storage.list(layout.DELETIONS, after=after):
        deletion = layout.deletion_of(entry.key)
        if deletion is None:
            continue
        hour, project = deletion
        if len(due) >= _MAX_DUE or (last and hour > last):
            break
        if project not in lagging:
            due[project].append(hour)
