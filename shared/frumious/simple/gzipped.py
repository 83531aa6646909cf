"""Compression of pages: the same page always has the same bytes."""

from __future__ import annotations

import zlib
from typing import Final

_GZIP: Final = 31  # wbits: a gzip header without a time, and the largest window
_LEVEL: Final = 6
_LARGE_LEVEL: Final = 4  # of the root index: half of the CPU time, and at most 4% more bytes
_MAX_PAGE: Final = 512 * 1024**2  # bytes; upstream's pages have at most half of it
_LARGE: Final = 8 * 1024**2  # bytes
_CHUNK: Final = 1024**2  # bytes; compresses large pages without another large buffer


def compress(page: bytes) -> bytes:
    """Compress a page with gzip."""
    level = _LEVEL if len(page) <= _LARGE else _LARGE_LEVEL
    compressor = zlib.compressobj(level, wbits=_GZIP)
    view = memoryview(page)
    chunks = [compressor.compress(view[at : at + _CHUNK]) for at in range(0, len(view), _CHUNK)]
    return b"".join((*chunks, compressor.flush()))


def decompress(variant: bytes, max_size: int = _MAX_PAGE) -> bytes:
    """Return the page.

    Raises:
        zlib.error: it is damaged, or has more than `max_size` bytes.
    """
    decompressor = zlib.decompressobj(wbits=_GZIP)
    page = decompressor.decompress(variant, max_size)
    if not decompressor.eof:
        msg = f"it was cut off, or has more than {max_size} bytes"
        raise zlib.error(msg)
    return page
