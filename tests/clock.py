"""A clock that tests advance, instead of waiting or changing stored times."""

from __future__ import annotations

import asyncio

from frumious.clock import Clock


class MovableClock(Clock):
    """The machine's clock, which a test can advance."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._elapsed = 0.0

    def advance(self, seconds: float) -> None:
        """Advance the clock, or set it back: then no time passes."""
        self._ahead += seconds
        self._elapsed += max(seconds, 0.0)

    def now(self) -> float:
        """Return the seconds since the epoch by this clock."""
        return super().now() + self._ahead

    def monotonic(self) -> float:
        """Return seconds that only grow, by this clock."""
        return super().monotonic() + self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Advance the clock instead of waiting."""
        self.advance(seconds)
        await asyncio.sleep(0)
