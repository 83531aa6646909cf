"""The bytes of a mirror's files, verified against what its pages promise."""

from __future__ import annotations

import hashlib
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.errors import FrumiousError
from frumious.model.checksums import FileStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from frumious.bundles.changes import NewFile
    from frumious.storage.protocol import Storage

SMALL: Final = 1024**2  # bytes: less is read at once


class FileGone(FrumiousError):
    """A file that a page names is not stored: it was removed in the meantime, or is missing."""

    def __init__(self, file: NewFile) -> None:
        super().__init__(f"{file.blob.key!r} is missing")


async def read_small(file: NewFile, storage: Storage) -> bytes | None:
    """Return a small file, core metadata or provenance; None: it may be large.

    Raises:
        FileGone: it is not stored.
        WrongBytes: it is damaged.
    """
    is_release = file.blob.expected is not None and not file.blob.key.endswith(".metadata")
    if is_release and (file.size is None or file.size > SMALL):
        return None
    stored = await storage.read(file.blob.key)
    if stored is None:
        raise FileGone(file)
    if file.blob.expected is not None:
        stream = FileStream(once(b""), file.blob.expected, "the mirror")
        stream.update(stored.body)
        stream.finish()
    return stored.body


@asynccontextmanager
async def stream_file(
    file: NewFile, storage: Storage
) -> AsyncGenerator[tuple[FileStream, int, AsyncGenerator[bytes, None]]]:
    """Open a large file: its stream, its size, and its chunks, the last one once all are verified.

    Raises:
        FileGone: it is not stored.
        WrongBytes: while iterating; it is damaged.
    """
    expected, size = file.blob.expected, file.size
    if size is None:
        head = await storage.head(file.blob.key)
        size = None if head is None else head.size
    opened = None if size is None else await storage.stream(file.blob.key)
    if opened is None or size is None or expected is None:
        raise FileGone(file)
    stream = FileStream(opened.chunks, replace(expected, size=size), "the mirror")
    async with aclosing(opened.chunks), aclosing(stream.verified_chunks()) as chunks:
        yield stream, size, chunks


async def once(body: bytes) -> AsyncIterator[bytes]:
    """Yield the bytes as one chunk."""
    yield body


def sha256_of(body: bytes) -> str:
    """Return the sha256 of bytes."""
    return hashlib.sha256(body).hexdigest()
