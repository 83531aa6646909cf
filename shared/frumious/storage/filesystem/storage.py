"""The mirror in a folder, as a web server can serve it.

An object is a file at its key. What is written appears whole or not at all, under a lock that holds
between the processes of one machine; folders that several machines write to have no such lock.

A link where an object is written is replaced: bandersnatch has them for older versions of a page.
Links among the directories are followed, wherever they lead: nothing that upstream says makes one,
and operators do, to put `web/packages` on another disk.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from frumious.model.checksums import WrongBytes
from frumious.storage.filesystem.atomic_write import DRAFT, OURS, Draft, Folder, flush
from frumious.storage.filesystem.lock import LOCK
from frumious.storage.filesystem.os_errors import storage_error
from frumious.storage.filesystem.walk import Walk
from frumious.storage.protocol import (
    Conflict,
    Guarantees,
    Head,
    StorageRefused,
    Stored,
)
from frumious.storage.threads import ThreadPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
    from io import BufferedReader
    from pathlib import Path

    from frumious.model.checksums import ExpectedContent
    from frumious.model.types import Key
    from frumious.storage.protocol import Entry

T = TypeVar("T")

_BLOCK = 1024**2  # bytes that are written at once
_LISTED_AT_ONCE = 1000
_MAX_CALLS = 32  # at once; disks and network file systems order them


class FilesystemStorage:
    """One folder.

    A tag is the sha256 of the bytes. Time, size and inode would be cheaper, but a file system's
    clock ticks too slowly and its inodes come back too soon: two writes within some milliseconds
    can leave all three as they were.
    """

    def __init__(self, directory: Path, *, manage_permissions: bool = True) -> None:
        self._folder = Folder(directory.absolute(), manage_permissions)
        self._threads = ThreadPool(_MAX_CALLS)
        self._requests = 0

    async def aclose(self) -> None:
        """Let the threads end."""
        self._threads.close()

    @property
    def guarantees(self) -> Guarantees:
        """What a folder promises, to the processes of one machine."""
        return Guarantees(conditional_writes=True, verified_uploads=True)

    def pop_request_count(self) -> int:
        """Return how many operations there were since this was last asked."""
        taken, self._requests = self._requests, 0
        return taken

    async def remove_leftovers(self) -> int:
        """Remove what killed processes left unfinished, and return how many files that were.

        Only for whoever holds the mirror's lock.
        """
        return await self._do(self._folder.sweep, OURS)

    async def read(self, key: Key) -> Stored | None:
        """Read a whole object; None when there is none."""
        path = self._path(key)

        def read() -> Stored | None:
            with _opened(path) as file:
                if file is None:
                    return None
                body = file.read()
            return Stored(body, hashlib.sha256(body).hexdigest())

        self._requests += 1
        return await self._do(read, key, read_only=True)

    async def head(self, key: Key) -> Head | None:
        """Ask what an object is, by reading it: its sha256 is that of the bytes on the disk."""
        path = self._path(key)
        self._requests += 1
        return await self._do(lambda: _head(path), key, read_only=True)

    async def write(self, key: Key, body: bytes, *, replacing: str | None = None) -> str:
        """Write an object; over exactly what was read, where `replacing` says so."""

        def check(path: Path) -> None:
            there = None if replacing is None else _head(path)
            if replacing is not None and (there is None or there.etag != replacing):
                what = "was deleted" if there is None else "has changed"
                msg = f"{key!r} {what} since it was read"
                raise Conflict(msg)

        return await self._write(key, body, check)

    async def create(self, key: Key, body: bytes) -> str:
        """Write an object where none is."""

        def check(path: Path) -> None:
            if path.is_file():
                msg = f"{key!r} is there already"
                raise Conflict(msg)

        return await self._write(key, body, check)

    async def store(
        self, key: Key, chunks: AsyncIterator[bytes], expected: ExpectedContent
    ) -> None:
        """Write a file as its chunks arrive; they are hashed once more as they are written.

        Raises:
            WrongBytes: what arrived is not what was expected.
        """
        path = self._path(key)
        draft = Draft(self._folder, path)
        digest = hashlib.new(expected.algorithm)
        size = 0

        def write(block: bytes) -> None:
            digest.update(block)
            draft.write(block)

        def publish() -> None:
            if digest.hexdigest() != expected.digest or expected.size not in {None, size}:
                msg = (
                    f"{size} bytes with the {expected.algorithm} {digest.hexdigest()} arrived for"
                    f" {key!r}, expected were {expected.size} with {expected.digest}"
                )
                raise WrongBytes(msg)
            self._publish(draft, path)

        self._requests += 1
        try:
            async for block in _blocks(chunks):
                size += len(block)
                await self._do(partial(write, block), key)
            await self._do(publish, key)
        finally:
            await self._do(draft.discard, key)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[Entry]:
        """Give what is below a prefix, in order; one directory at a time is in memory."""
        folder, _, _ = prefix.rpartition("/")
        if folder:
            self._path(folder)
        walk = Walk.of(self._folder.top, prefix, after, _is_hidden).entries()
        self._requests += 1
        while some := await self._do(
            lambda: tuple(islice(walk, _LISTED_AT_ONCE)), prefix, read_only=True
        ):
            for entry in some:
                yield entry

    async def delete(self, keys: Collection[Key]) -> None:
        """Delete objects, and the directories that are empty then."""
        paths = {key: self._path(key) for key in keys}

        def delete() -> None:
            touched = set()
            for key, path in paths.items():
                try:
                    with self._folder.writing():
                        path.unlink()
                except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                    continue
                except OSError as error:
                    raise storage_error(error, key, self._folder.top) from error
                touched.add(self._folder.prune(path.parent))
            for directory in touched:
                flush(directory)

        self._requests += 1
        await self._do(delete, "")

    async def _write(self, key: Key, body: bytes, check: Callable[[Path], None]) -> str:
        path = self._path(key)

        def write() -> str:
            with Draft(self._folder, path) as draft:
                draft.write(body)
                self._publish(draft, path, check)
            return hashlib.sha256(body).hexdigest()

        self._requests += 1
        return await self._do(write, key)

    def _publish(
        self, draft: Draft, path: Path, check: Callable[[Path], None] | None = None
    ) -> None:
        """Put a draft in its place, if `check` lets it; the lock is held for no more than that."""
        draft.settle()
        with self._folder.writing():
            if check is not None:
                check(path)
            draft.publish()
        flush(path.parent)  # a page may reach the disk only after the files that it names

    def _path(self, key: str) -> Path:
        """Return where a key's object lies.

        Raises:
            StorageRefused: no object can be there.
        """
        segments = key.split("/")
        try:
            os.fsencode(key)
        except UnicodeEncodeError:
            why = "is no text that a file system could have as a name"
        else:
            if not {"", ".", ".."}.isdisjoint(segments):
                why = "has a part that is no name, and could leave the mirror"
            elif "\0" in key:
                why = "has a NUL in it"
            elif _is_ours(segments):
                why = "is a name that the storage itself uses"
            else:
                return self._folder.top.joinpath(*segments)
        msg = f"the key {key!r:.200} {why}"
        raise StorageRefused(msg)

    async def _do(self, call: Callable[[], T], key: str, *, read_only: bool = False) -> T:
        """Run a blocking call in a thread, and map its errors."""
        try:
            return await self._threads.run(call, read_only=read_only)
        except OSError as error:
            raise storage_error(error, key, self._folder.top) from error


def _is_ours(segments: Sequence[str]) -> bool:
    """Say whether a key is none of the mirror's: a lock, a note or a draft.

    At any depth: a folder within the mirror may be a storage of its own, for the diff-file.
    """
    return OURS in segments or segments[0] == LOCK or DRAFT.fullmatch(segments[-1]) is not None


def _is_hidden(key: bytes) -> bool:
    return _is_ours(os.fsdecode(key).rstrip("/").split("/"))


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader | None]:
    """Open a file, and nothing else: None where there is none."""
    try:
        # A pipe would keep its reader waiting.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        yield None
        return
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
            yield file
    else:
        os.close(descriptor)
        yield None


def _head(path: Path) -> Head | None:
    with _opened(path) as file:
        if file is None:
            return None
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Head(file.tell(), sha256, sha256)


async def _blocks(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Gather chunks, so that there are fewer ways to the disk than to the network."""
    gathered: list[bytes] = []
    size = 0
    async for chunk in chunks:
        gathered.append(chunk)
        size += len(chunk)
        if size >= _BLOCK:
            yield b"".join(gathered)
            gathered.clear()
            size = 0
    if gathered:
        yield b"".join(gathered)
