"""Large project pages: how many of them are in memory at the same time, of all jobs together.

A page at each limit of the parsers takes some 450 MB while it is parsed. Most have a few kilobytes:
these neither wait nor count.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Self

LARGE: Final = 1024**2  # bytes of a body beyond which a page is large

_READ_AT_ONCE: Final = 2  # so that one that trickles does not hold up all others
_MAX_KEPT: Final = 128 * 1024**2  # bytes that pages of jobs may take while another one is read
# What a parsed page takes: bytes for each byte of text, and for each value or element.
_TEXT: Final = 4
_VALUE: Final = 64


class LargePages:
    """The large pages that this process reads, or whose jobs have not ended."""

    def __init__(self) -> None:
        self._reading = 0
        self._kept = 0  # bytes, estimated
        self._waiting: deque[asyncio.Future[None]] = deque()

    def room(self) -> PageRoom:
        """Return the room for the page of one job; a context manager."""
        return PageRoom(self)

    async def begin(self) -> None:
        """Wait until another page may be read."""
        granted = asyncio.get_running_loop().create_future()
        self._waiting.append(granted)
        self.change()
        try:
            await granted
        except BaseException:
            if granted.done() and not granted.cancelled():
                self.change(reading=-1)
            raise

    def change(self, *, reading: int = 0, kept: int = 0) -> None:
        """Count pages that are read, and the bytes that are kept of others."""
        self._reading += reading
        self._kept += kept
        while self._waiting and self._reading < _READ_AT_ONCE and self._kept <= _MAX_KEPT:
            granted = self._waiting.popleft()
            if not granted.cancelled():
                self._reading += 1
                granted.set_result(None)


class PageRoom:
    """The room that the page of one job takes, until the job ends."""

    def __init__(self, pages: LargePages) -> None:
        self._pages = pages
        self._reading = False
        self._kept = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._free()

    async def begin(self) -> None:
        """Wait until the rest of a large page may be read; what the job read before is gone."""
        if not self._reading:
            self._free()
            await self._pages.begin()
            self._reading = True

    def keep(self, body: bytes) -> None:
        """Count what was parsed from a body, in place of the reading."""
        if self._reading:
            values = sum(body.count(sign) for sign in (b",", b"[", b"{", b"<"))
            self._reading, self._kept = False, _TEXT * len(body) + _VALUE * values
            self._pages.change(reading=-1, kept=self._kept)

    def _free(self) -> None:
        reading, kept = self._reading, self._kept
        self._reading, self._kept = False, 0
        self._pages.change(reading=-reading, kept=-kept)
