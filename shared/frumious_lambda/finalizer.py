"""What a finalizer does; knows nothing of Lambda: the simulation runs it too."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from frumious.finalizing.finalize import finalize

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from frumious.finalizing.finalize import Finalized
    from frumious.messaging.dead_letter_queue import DeadLetterQueue
    from frumious.messaging.events import Event
    from frumious.mirror import Mirror
    from frumious.model.jobs import Job


async def finalize_with_dead_letters(
    mirror: Mirror,
    dead_letter_queue: DeadLetterQueue,
    publish_events: Callable[[Iterable[Event]], Awaitable[None]] | None,
    *,
    deadline: float = math.inf,
) -> Finalized:
    """Publish what workers reported; count dead letters as failures, and delete the obsolete ones.

    Raises as `finalize`; then all dead letters return to their queue.
    """
    dead = dead_letter_queue.receive()
    obsolete: frozenset[Job] = frozenset()
    try:
        finalized = await finalize(
            mirror,
            dead=[message.job for message in dead],
            publish_events=publish_events,
            deadline=deadline,
        )
        obsolete = frozenset(finalized.obsolete)
    finally:
        dead_letter_queue.delete(each.receipt for each in dead if each.job in obsolete)
        dead_letter_queue.return_to_queue(each.receipt for each in dead if each.job not in obsolete)
    return finalized
