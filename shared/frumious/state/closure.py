"""The dependencies of all projects: finalizers write them, planners read them after a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.model import layout
from frumious.model.closure import ClosureFile
from frumious.state.objects import read_or_set_aside
from frumious.state.replacing import change_or_set_aside

if TYPE_CHECKING:
    from collections.abc import Iterable

    from frumious.model.closure import Change
    from frumious.storage.protocol import Storage


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
    return await change_or_set_aside(
        layout.CLOSURE,
        ClosureFile,
        lambda known: None if known.revision < revision else known.changed(changes),
        storage,
    )
