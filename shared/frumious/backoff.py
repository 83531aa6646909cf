"""Growing, jittered pauses between the tries of one thing."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frumious.clock import Clock
    from frumious.errors import Retryable

_TRIES = 4
_FIRST_PAUSE = 0.25  # seconds; doubled each time, and jittered
_LONGEST_WAIT = 30.0  # seconds that a job waits by itself; beyond that the queue does


class Backoff:
    """Counts the tries of one thing, and says when there are enough."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tries = 1

    async def wait(self, error: Retryable) -> None:
        """Pause before the next try; at least as long as the other side asks.

        Raises:
            Retryable: the error itself, when there is no next try.
        """
        pause = _FIRST_PAUSE * 2 ** (self._tries - 1) * random.uniform(0.5, 1.5)  # noqa: S311
        pause = max(pause, error.retry_after or 0)
        if self._tries == _TRIES or pause > _LONGEST_WAIT:
            raise error
        self._tries += 1
        await self._clock.sleep(pause)
