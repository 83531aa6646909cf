"""What a destination has: a line for each project, in the order of the projects' folders.

A line has a fingerprint of the listed pages, and six bytes for each file. At PyPI's size that is
some 200 MB, which are read and written as a stream.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from contextlib import aclosing
from typing import IO, TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta, Struct

from frumious.bundles.errors import NotExported
from frumious.model.checksums import ExpectedContent, FileStream
from frumious.model.types import ProjectName
from frumious.storage.protocol import CHUNK

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable

    from frumious.model.types import Key
    from frumious.storage.protocol import Storage

_ID: Final = 6  # bytes of a file
_MAX_LINE: Final = 64 * 1024**2

Salt = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]


class CatalogueHead(Struct, frozen=True, array_like=True):
    """The first line. The salt keeps uploaders from making two files that have the same ID."""

    source: Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
    salt: Salt


class Known(Struct, frozen=True, array_like=True):
    """What the destination has of a project."""

    project: ProjectName
    fingerprint: str = ""  # of its pages; empty: unknown
    files: bytes = b""  # the IDs of its files

    @property
    def ids(self) -> frozenset[bytes]:
        """The IDs of its files."""
        return frozenset(self.files[at : at + _ID] for at in range(0, len(self.files), _ID))

    @classmethod
    def of(cls, project: ProjectName, fingerprint: str, ids: Iterable[bytes]) -> Known:
        """Describe a project."""
        return cls(project, fingerprint, b"".join(sorted(ids)))


def file_id(salt: str, *values: str) -> bytes:
    """Return the ID of a file by its key and its digests."""
    text = "\0".join(values).encode()
    return hashlib.blake2b(text, digest_size=_ID, key=salt.encode()).digest()


def parse_head(line: bytes) -> CatalogueHead:
    """Parse the first line.

    Raises:
        NotExported: it is damaged.
    """
    try:
        return msgspec.json.decode(line, type=CatalogueHead)
    except ValueError as error:
        raise _damaged(error) from error


def parse_known(line: bytes) -> Known:
    """Parse another line.

    Raises:
        NotExported: it is damaged.
    """
    try:
        known = msgspec.json.decode(line, type=Known)
    except ValueError as error:
        raise _damaged(error) from error
    if len(known.files) % _ID:
        length = "the files of a project have another length"
        raise _damaged(length)
    return known


def _damaged(error: object) -> NotExported:
    return NotExported(f"what is kept of an earlier export is damaged ({error}): use --since 0")


class CatalogueWriter:
    """A catalogue that is written to a local file."""

    def __init__(self, file: IO[bytes], head: CatalogueHead | None) -> None:
        self.file = file
        if head is not None:
            file.write(msgspec.json.encode(head) + b"\n")

    def add(self, known: Known) -> None:
        """Append a project."""
        self.file.write(msgspec.json.encode(known) + b"\n")


class CatalogueReader:
    """A catalogue in a storage, copied to a local file first: it is read for hours."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.head = parse_head(file.readline(_MAX_LINE))

    @classmethod
    async def open(cls, key: Key, storage: Storage) -> CatalogueReader | None:
        """Open a catalogue; None: there is none."""
        opened = await storage.stream(key)
        if opened is None:
            return None
        file = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the reader)
        async with aclosing(opened.chunks) as chunks:
            async for chunk in chunks:
                file.write(chunk)
        file.seek(0)
        return cls(file)

    def close(self) -> None:
        """Delete the local file."""
        self._file.close()

    async def lines(self) -> AsyncGenerator[Known, None]:
        """Yield the projects."""
        for count, line in enumerate(iter(lambda: self._file.readline(_MAX_LINE), b"")):
            if not count % 1000:
                await asyncio.sleep(0)
            yield parse_known(line)


async def store(key: Key, file: IO[bytes], storage: Storage) -> None:
    """Store a local file."""
    file.flush()
    file.seek(0)
    sha256 = await asyncio.to_thread(sha256_of_file, file)
    expected = ExpectedContent("sha256", sha256, file.tell())
    file.seek(0)
    async with aclosing(read_chunks(file)) as chunks:
        await storage.store(key, FileStream(chunks, expected, "the command"))


def sha256_of_file(file: IO[bytes]) -> str:
    """Return the sha256 of the rest of a local file."""
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


async def read_chunks(file: IO[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield the rest of a local file."""
    while chunk := await asyncio.to_thread(file.read, CHUNK):
        yield chunk


async def nothing() -> AsyncIterator[Known]:
    """Yield what a new destination has."""
    for known in list[Known]():
        yield known
