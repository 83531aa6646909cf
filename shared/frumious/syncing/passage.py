"""The bytes of one file on their way into the storage: counted, and logged now and then."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Self

from frumious.value import Mutable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from packaging.utils import NormalizedName

    from frumious.meter import Meter

logger = logging.getLogger(__name__)

_LOG_EVERY: Final = 4 * 1024**2  # bytes of a file that is under way


class Passage(Mutable):
    """The chunks of one file as they pass."""

    content: AsyncIterator[bytes]
    project: NormalizedName
    meter: Meter
    bytes_: int = 0  # that have passed
    _logged: int = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self.bytes_ - self._logged >= _LOG_EVERY:
            self._log()
        try:
            chunk = await anext(self.content)
        except StopAsyncIteration:
            self._log()
            raise
        self.bytes_ += len(chunk)
        self.meter.transferred += len(chunk)
        return chunk

    def _log(self) -> None:
        extra = {"project": self.project, "bytes": self.bytes_ - self._logged}
        logger.debug("bytes stored", extra=extra)
        self._logged = self.bytes_
