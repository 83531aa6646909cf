"""Compression of pages: the same page always has the same bytes."""

from __future__ import annotations

import zlib
from typing import Final

_GZIP: Final = 31  # wbits: a gzip header without a time, and the largest window
_LEVEL: Final = 6
_CHUNK: Final = 1024**2  # bytes; compresses large pages without another large buffer


def compress(page: bytes) -> bytes:
    """Compress a page with gzip."""
    compressor = zlib.compressobj(_LEVEL, wbits=_GZIP)
    view = memoryview(page)
    chunks = [compressor.compress(view[at : at + _CHUNK]) for at in range(0, len(view), _CHUNK)]
    return b"".join((*chunks, compressor.flush()))


def decompress(variant: bytes) -> bytes:
    """Return the page.

    Raises:
        zlib.error: it is damaged.
    """
    return zlib.decompress(variant, wbits=_GZIP)
