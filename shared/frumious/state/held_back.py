"""What the cooldown holds back: finalizers write it, planners read it when some is due."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from frumious.model import layout
from frumious.model.cooldown import HeldBackFile
from frumious.state.objects import LedgerCorrupt, parse, read_or_set_aside, render
from frumious.storage.protocol import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from frumious.model.cooldown import Change
    from frumious.storage.protocol import Storage

logger = logging.getLogger(__name__)

_ATTEMPTS: Final = 20


async def read_held_back(storage: Storage) -> HeldBackFile | None:
    """Return what the cooldown holds back; None if that is missing or damaged."""
    stored = await storage.read(layout.COOLDOWN)
    try:
        return None if stored is None else parse(layout.COOLDOWN, stored, HeldBackFile)
    except LedgerCorrupt as error:
        logger.error("%s; all pages are compared anew", error)  # noqa: TRY400
        return None


async def change_held_back(
    changes: Iterable[Change], revision: int, storage: Storage
) -> HeldBackFile | None:
    """Add what jobs report; `revision` is the one that the cursor knows.

    Returns None if the state is lost, or older than that: then nothing is added, as the next
    planner has all pages compared anew.

    Raises:
        Conflict: others replaced it again and again.
    """
    changes = [*changes]
    for _ in range(_ATTEMPTS):
        found, etag = await read_or_set_aside(layout.COOLDOWN, HeldBackFile, storage)
        known = found or HeldBackFile()
        if known.revision < revision:
            return None
        held_back = known.changed(changes)
        if held_back is known:
            return known
        try:
            if etag is None:
                await storage.create(layout.COOLDOWN, render(held_back))
            else:
                await storage.write(layout.COOLDOWN, render(held_back), replacing=etag)
        except Conflict:
            continue
        return held_back
    msg = f"{layout.COOLDOWN!r} was replaced by others {_ATTEMPTS} times in a row"
    raise Conflict(msg)
