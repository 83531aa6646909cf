"""The dependencies of all projects: finalizers write them, planners read them after a change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frumious.model import layout
from frumious.model.closure import ClosureFile
from frumious.state.objects import read_or_set_aside, render
from frumious.storage.protocol import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from frumious.model.closure import Change
    from frumious.storage.protocol import Storage

_ATTEMPTS: Final = 20


async def read_closure_file(storage: Storage) -> ClosureFile | None:
    """Return the dependencies of all projects; None if they are missing or damaged."""
    found, _ = await read_or_set_aside(layout.CLOSURE, ClosureFile, storage)
    return found


async def change_closure_file(
    changes: Iterable[Change], revision: int, storage: Storage
) -> ClosureFile | None:
    """Add what jobs report; `revision` is the one that the cursor knows.

    Returns None if the state is lost, or older than that: then nothing is added, as the next
    planner has all projects report anew.

    Raises:
        Conflict: others replaced it again and again.
    """
    changes = [*changes]
    for _ in range(_ATTEMPTS):
        found, etag = await read_or_set_aside(layout.CLOSURE, ClosureFile, storage)
        known = found or ClosureFile()
        if known.revision < revision:
            return None
        file = known.changed(changes)
        if file is known:
            return known
        try:
            if etag is None:
                await storage.create(layout.CLOSURE, render(file))
            else:
                await storage.write(layout.CLOSURE, render(file), replacing=etag)
        except Conflict:
            continue
        return file
    msg = f"{layout.CLOSURE!r} was replaced by others {_ATTEMPTS} times in a row"
    raise Conflict(msg)
