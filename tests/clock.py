"""A clock that tests move, instead of waiting or rewriting what is stored."""

from __future__ import annotations

import asyncio

from frumious.clock import Clock


class MovableClock(Clock):
    """The machine's clock, ahead by as much as a test says."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        self._ahead += seconds

    def now(self) -> float:
        """Return the seconds since the epoch, as the mirror is to see them."""
        return super().now() + self._ahead

    async def sleep(self, seconds: float) -> None:
        """Let the time of a pause pass at once."""
        self.advance(seconds)
        await asyncio.sleep(0)
