"""Projects of which files have waited long enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from frumious.model.cooldown import HeldBackFile, Ripening
from frumious.state.held_back import read_held_back

if TYPE_CHECKING:
    from collections.abc import Collection

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.runs import Cursor


class Ripe(NamedTuple):
    """What a tick finds of the files that wait."""

    ripening: Ripening = Ripening()  # for the cursor, if the plan starts
    projects: Collection[NormalizedName] = ()
    lost: bool = False  # nobody knows what waits: all pages have to be compared anew


NOTHING: Final = Ripe()


async def read_ripe(cursor: Cursor, mirror: Mirror, now: float, *, verify: bool) -> Ripe:
    """Return the projects of which files are ripe; the state is read only if there may be any.

    With `verify` the cursor is not believed: somebody may have put an older one back.
    """
    known = cursor.ripening
    is_due = 0 < known.due <= now
    if mirror.selection.cooldown is None or not (is_due or verify):
        return Ripe(known)
    found = await read_held_back(mirror.storage)
    held_back = found or HeldBackFile()
    if held_back.revision < known.revision:
        return Ripe(Ripening(), lost=True)
    unplanned = known.unplanned(held_back).items()
    projects = [project for project, ripens in unplanned if ripens <= now]
    return Ripe(known.planning(held_back, now), projects)
