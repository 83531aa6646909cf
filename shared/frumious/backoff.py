"""Exponential backoff with jitter between attempts."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frumious.clock import Clock
    from frumious.errors import Retryable

logger = logging.getLogger(__name__)

_MAX_ATTEMPTS = 4
_FIRST_PAUSE = 0.25  # seconds; doubled after each attempt
_LOGGED_PAUSE = 2.0  # seconds: what a server requests; others are shorter
_MAX_PAUSE = 30.0  # seconds; longer pauses are left to the queue


class Backoff:
    """Counts the attempts of one operation and pauses between them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._attempts = 1

    async def wait(self, error: Retryable) -> None:
        """Pause before the next attempt, at least for the seconds that `error` requests.

        Raises:
            Retryable: `error` itself, if no attempt or not enough time is left.
        """
        pause = _FIRST_PAUSE * 2 ** (self._attempts - 1) * random.uniform(0.5, 1.5)  # noqa: S311
        pause = max(pause, error.retry_after or 0)
        if self._attempts == _MAX_ATTEMPTS or pause > _MAX_PAUSE:
            raise error
        self._attempts += 1
        if pause >= _LOGGED_PAUSE:
            logger.info("waiting", extra={"error": str(error), "retry": round(pause)})
        await self._clock.sleep(pause)
