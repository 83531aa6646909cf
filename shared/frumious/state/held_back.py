"""What the cooldown holds back: finalizers write it, planners read it when some is due."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from frumious.model import layout
from frumious.model.cooldown import HeldBackFile
from frumious.state.objects import LedgerCorrupt, parse
from frumious.state.replacing import change_or_set_aside

if TYPE_CHECKING:
    from collections.abc import Iterable

    from frumious.model.cooldown import Change
    from frumious.storage.protocol import Storage

logger = logging.getLogger(__name__)


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
    return await change_or_set_aside(
        layout.COOLDOWN,
        HeldBackFile,
        lambda known: None if known.revision < revision else known.changed(changes),
        storage,
    )
