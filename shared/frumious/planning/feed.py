"""Upstream's change feed as a way of discovery: what it says, and what is wrong with it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import structs

from frumious.model import layout
from frumious.model.runs import REGRESSION_PATIENCE
from frumious.storage.protocol import Conflict
from frumious.upstream.feed import FeedRewritten

if TYPE_CHECKING:
    from frumious.mirror import Mirror
    from frumious.planning.snapshot import Snapshot

_REPLACED: Final = "its root index is compared until the feed is as before, or somebody begins anew"


async def read_feed(snapshot: Snapshot, mirror: Mirror) -> Snapshot:
    """Add the changes since the cursor; at first, only the position that the feed has reached.

    Raises:
        FeedRewritten: the feed shows another history than before; the proof is kept.
        InvalidCheckpoint, InvalidEntry, UpstreamUnavailable: as `ChangeFeed.read`.
    """
    cursor = snapshot.cursor
    try:
        answer = await mirror.upstream.follow_feed(cursor.feed, snapshot.now)
    except FeedRewritten as error:
        with suppress(Conflict):  # the first proof counts
            await mirror.storage.create(layout.FEED_PROOF, msgspec.json.encode(error.proof))
        raise
    changes = answer.changes
    if changes is not None:
        changes = structs.replace(changes, serial=max(changes.serial, cursor.serial or 0))
    return structs.replace(
        snapshot, feed=answer.position, changes=changes, feed_problem=answer.problem
    )


def problem(snapshot: Snapshot) -> str:
    """Return what somebody should know of the feed; empty: nothing.

    A feed that is shorter may be an old one from a cache.
    """
    regressed = snapshot.feed.regressed if snapshot.feed is not None else 0.0
    if not regressed or snapshot.now - regressed < REGRESSION_PATIENCE:
        return ""
    return f"{snapshot.feed_problem}; {_REPLACED}"
