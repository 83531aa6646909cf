"""What waits for a person: planners write it, finalizers and `frumious status` read it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from frumious.model import layout
from frumious.model.notices import Notices
from frumious.state.objects import LedgerCorrupt, parse, render

if TYPE_CHECKING:
    from frumious.storage.protocol import Storage

logger = logging.getLogger(__name__)


async def read_notices(storage: Storage) -> Notices | None:
    """Return what waits for a person; None if that is missing or damaged."""
    stored = await storage.read(layout.NOTICES)
    try:
        return None if stored is None else parse(layout.NOTICES, stored, Notices)
    except LedgerCorrupt as error:
        logger.error("%s; the next run writes it anew", error)  # noqa: TRY400 (says it all)
        return None


async def write_notices(notices: Notices, storage: Storage) -> None:
    """Keep what waits for a person; it counts once the cursor names its revision."""
    await storage.write(layout.NOTICES, render(notices))
