"""The limits on how slowly upstream may send a response."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

from frumious.upstream.failures import TooSlow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import aiohttp

    from frumious.clock import Clock

CHUNK: Final = 256 * 1024  # bytes; larger chunks save no time, smaller ones cost some


class Pace:
    """Ends a response that upstream sends too slowly, or that takes too long as a whole.

    The speed is measured in windows of the time that is spent in waiting for upstream, so that a
    slow consumer does not count. Times are seconds, `lowest_speed` is bytes per second.
    """

    def __init__(
        self, url: str, clock: Clock, window: float, lowest_speed: int, limit: float
    ) -> None:
        self.url = url
        self._clock = clock
        self._window = window
        self._lowest_speed = lowest_speed
        self._limit = limit
        self._started = clock.monotonic()
        self._waited = 0.0  # in this window
        self._received = 0  # bytes, in this window

    async def chunks(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """Yield the chunks of the body; see `read`."""
        while chunk := await self.read(response):
            yield chunk

    async def read(self, response: aiohttp.ClientResponse) -> bytes:
        """Return a chunk of the body, decompressed unless the request has turned that off.

        Returns nothing at the end.

        Raises:
            TooSlow: it is below the lowest speed, or exceeds the limit.
        """
        started = self._clock.monotonic()
        async with arriving(self.url, self._window):
            chunk = await response.content.read(CHUNK)
        self._received += len(chunk)
        self._count(started)
        return chunk

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Measure the time in which only upstream is waited for.

        Raises:
            TooSlow: afterwards.
        """
        started = self._clock.monotonic()
        yield
        self._count(started)

    def _count(self, started: float) -> None:
        """Count the time since `started` as spent in waiting."""
        now = self._clock.monotonic()
        self._waited += now - started
        if now - self._started > self._limit:
            msg = f"{self.url} was not complete after {self._limit:g} s"
            raise TooSlow(msg)
        if self._waited >= self._window:
            if self._received < self._lowest_speed * self._waited:
                msg = (
                    f"{self.url} is too slow: {self._received} bytes in {self._waited:.1f} s,"
                    f" less than {self._lowest_speed} bytes per second"
                )
                raise TooSlow(msg)
            self._waited, self._received = 0.0, 0


@asynccontextmanager
async def arriving(url: str, seconds: float) -> AsyncIterator[None]:
    """Limit the time in which something of a response has to arrive: its head, or a chunk.

    The timeout between two bytes does not notice a head that trickles, nor bytes without content:
    extensions of chunks, or those that a decompressor swallows.

    Raises:
        TooSlow: it has not.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        msg = f"{url} is too slow: what it sent in {seconds:g} s has no content"
        raise TooSlow(msg) from None
