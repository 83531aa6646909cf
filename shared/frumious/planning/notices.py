"""Keep what waits for a person, for `frumious status` and status.json."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from frumious.model.notices import Notices
from frumious.planning.lists import failing_lists
from frumious.state.notices import read_notices, write_notices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.plans import Plan


async def keep_notices(
    plan: Plan, absent: Mapping[NormalizedName, NormalizedName | None] | None, mirror: Mirror
) -> bool:
    """Keep what waits for a person after a tick; return whether that is new.

    `absent` is None where nobody has looked for these names at this tick.
    """
    if plan.base is None:
        return False
    cursor = await mirror.ledger.known_cursor()
    before = await read_notices(mirror.storage) if cursor.notices else Notices()
    known = before or Notices()
    after = replace(
        known,
        absent=known.absent if absent is None else absent,
        withheld=plan.waiting,
        unconfirmed=0 if plan.stopped is None else plan.stopped.removals,
        lists=await failing_lists(mirror),
    )
    if after == before:
        return False
    after = replace(after, revision=max(cursor.notices, known.revision) + 1)
    await write_notices(after, mirror.storage)
    await mirror.ledger.change_cursor(lambda current: replace(current, notices=after.revision))
    return True
