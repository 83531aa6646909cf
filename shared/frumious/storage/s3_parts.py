"""A file cut into the parts of a multipart upload."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_SMALLEST: Final = 8 * 1024**2  # bytes; a few of them are in memory at the same time
_MOST: Final = 10_000  # parts of one file


def part_size(size: int | None) -> int:
    """Return how many bytes a part has, so that a file of `size` bytes has not too many."""
    return max(_SMALLEST, -(-(size or 0) // _MOST))


def base64_sha256(body: bytes) -> str:
    """Return a part's checksum as S3 has it."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


async def parts_of(chunks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """Gather chunks into parts of at least `size` bytes; the last, always there, may be less."""
    gathered = bytearray()
    async for chunk in chunks:
        if len(gathered) >= size:
            yield bytes(gathered)
            gathered.clear()
        gathered += chunk
    yield bytes(gathered)
