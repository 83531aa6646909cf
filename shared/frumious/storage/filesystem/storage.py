"""The mirror in a folder, which any web server can serve.

An object is a file whose path is its key. Writes are atomic. They hold a lock that excludes the
other processes of the machine, but not those of other machines.

A write replaces a symbolic link to a file: bandersnatch creates them for older versions of a page.
Links to directories are followed, wherever they lead: no upstream can create one, and operators do,
to put `web/packages` on another disk.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from frumious.storage.filesystem import barrier
from frumious.storage.filesystem.atomic_write import (
    INTERNAL,
    Folder,
    TempFile,
    flush_directory,
)
from frumious.storage.filesystem.barrier import Barrier
from frumious.storage.filesystem.os_errors import storage_error
from frumious.storage.filesystem.paths import is_internal, path_of
from frumious.storage.filesystem.walk import Walk
from frumious.storage.protocol import (
    CHUNK,
    Conflict,
    Head,
    Opened,
    Stored,
)
from frumious.storage.threads import ThreadPool

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Callable,
        Collection,
        Iterator,
    )
    from io import BufferedReader

    from frumious.model.checksums import FileStream
    from frumious.model.types import Key
    from frumious.storage.protocol import Entry

T = TypeVar("T")

_BLOCK_SIZE = 1024**2  # bytes that are written in one call of a thread
_BLOCK_CHUNKS = 1000  # that they consist of, in case these are tiny
_PAGE_SIZE = 1000  # entries of a listing
_MAX_CALLS = 32  # at once
_CORES = min(os.cpu_count() or 1, _MAX_CALLS)
_SMALL = 256 * 1024  # bytes of a file that the event loop's thread stores
_SLOW = 0.01  # seconds for a small file, on average
_WEIGHT = 0.2  # of the last one in the average
_PAUSE = 10.0  # seconds in which a slow disk is left to other threads


class FilesystemStorage:
    """One folder.

    An etag is the sha256 of the content. Time, size and inode would be cheaper, but clocks are too
    coarse and inodes are reused too soon: two writes within milliseconds may leave all three equal.
    """

    def __init__(self, directory: Path, *, manage_permissions: bool = True) -> None:
        self._folder = Folder.at(directory.absolute(), manage_permissions=manage_permissions)
        self._top = str(self._folder.top).rstrip("/")
        self._barrier = Barrier()
        self._threads = ThreadPool(_MAX_CALLS)
        self._hashing = ThreadPool(_CORES)
        self._seconds = 0.0  # for a small file, on average
        self._slow_until = 0.0  # by the monotonic clock
        self._requests = 0

    async def aclose(self) -> None:
        """Let the threads end."""
        self._threads.close()
        self._hashing.close()

    def pop_request_count(self) -> int:
        """Return how many operations there were since the last call."""
        count, self._requests = self._requests, 0
        return count

    async def server_time(self) -> float | None:
        """Return None: the folder has this machine's clock, or that of a server without a name."""
        return None

    async def remove_leftovers(self) -> int:
        """Remove the temporary files of killed processes; the caller holds the mirror's lock."""
        return await self._run(self._folder.remove_leftovers, INTERNAL)

    async def read(self, key: Key) -> Stored | None:
        """Read a whole object; return None if it does not exist."""
        path = path_of(self._top, key)

        def read() -> Stored | None:
            with _open_file(path) as file:
                if file is None:
                    return None
                body = file.read()
            return Stored(body, hashlib.sha256(body).hexdigest())

        self._requests += 1
        return await self._run(read, key, read_only=True)

    async def head(self, key: Key) -> Head | None:
        """Read an object's metadata, and the object itself: its sha256 is that of the disk."""
        path = path_of(self._top, key)
        self._requests += 1
        return await self._run(lambda: _head(path), key, read_only=True)

    async def stream(self, key: Key) -> Opened | None:
        """Open an object to read it as chunks; return None if it does not exist."""
        path = path_of(self._top, key)
        self._requests += 1
        opened = ExitStack()
        file = await self._run(lambda: opened.enter_context(_open_file(path)), key, read_only=True)
        return None if file is None else Opened(self._chunks(key, file, opened))

    async def _chunks(
        self, key: Key, file: BufferedReader, opened: ExitStack
    ) -> AsyncGenerator[bytes, None]:
        with opened:
            while chunk := await self._run(lambda: file.read(CHUNK), key):
                yield chunk
                if len(chunk) < CHUNK:  # the file ends here
                    return

    async def write(self, key: Key, body: bytes, *, replacing: str | None = None) -> str:
        """Write an object; with `replacing`, only if it still has that etag."""

        def check(path: str) -> None:
            current = None if replacing is None else _head(path)
            if replacing is not None and (current is None or current.etag != replacing):
                change = "was deleted" if current is None else "has changed"
                msg = f"{key!r} {change} since it was read"
                raise Conflict(msg)

        return await self._write(key, body, check)

    async def create(self, key: Key, body: bytes) -> str:
        """Write an object that does not exist yet."""

        def check(path: str) -> None:
            if Path(path).is_file():
                msg = f"{key!r} already exists"
                raise Conflict(msg)

        return await self._write(key, body, check)

    async def store(self, key: Key, stream: FileStream) -> None:
        """Write a file as its chunks arrive; hash it and write it in the same thread.

        It reaches the disk before the next page does. On a quick disk, a small one is stored in the
        event loop's thread: a system call takes less time there than to change threads, as Python
        runs one at a time.
        """
        path = path_of(self._top, key)
        file = TempFile(self._folder, path)
        self._requests += 1

        def write(chunks: list[bytes]) -> None:
            for chunk in chunks:
                stream.update(chunk)
                file.write(chunk)

        def publish(chunks: list[bytes], *, flush: bool = True) -> None:
            with file:
                write(chunks or [b""])
                stream.finish()
                if flush:
                    file.flush()  # else its path may have other bytes after a power failure
                file.publish(flush=not barrier.IS_SUPPORTED)
                self._barrier.add(self._folder.disk_of(path))

        chunks: list[bytes] = []  # are not joined, which would copy them
        size, is_small = 0, True
        try:
            async for chunk in stream.chunks:
                if size >= _BLOCK_SIZE or len(chunks) >= _BLOCK_CHUNKS:
                    await self._run_hashing(partial(write, chunks), key, stream)
                    chunks, size, is_small = [], 0, False
                chunks.append(chunk)
                size += len(chunk)
            if is_small and size <= _SMALL and self._is_storable_here(path, stream):
                self._run_here(partial(publish, chunks, flush=False), key, stream)
            else:
                await self._run_hashing(partial(publish, chunks), key, stream)
        except BaseException:
            await self._run(file.discard, key)
            raise

    def _is_storable_here(self, path: str, stream: FileStream) -> bool:
        """Return whether a small file needs no other thread: nothing waits for the disk.

        It is not flushed, and so must not replace what a page may name already. Without a sha256,
        its size alone would say whether it is whole.
        """
        return (
            not self._is_slow
            and barrier.IS_SUPPORTED
            and stream.expected.sha256 is not None
            and not os.path.lexists(path)
        )

    @property
    def _is_slow(self) -> bool:
        """Whether the disk was slow a short time ago."""
        return time.monotonic() < self._slow_until

    def _run_here(self, call: Callable[[], None], key: Key, stream: FileStream) -> None:
        """Run a blocking call in this thread; for a while there is none after slow ones."""
        started = time.monotonic()
        try:
            call()
        except OSError as error:
            raise storage_error(error, key, self._folder.top, stream.expected.size) from error
        finally:
            now = time.monotonic()
            self._seconds += _WEIGHT * (now - started - self._seconds)
            if self._seconds > _SLOW:
                self._seconds, self._slow_until = 0.0, now + _PAUSE

    async def _run_hashing(self, call: Callable[[], None], key: Key, stream: FileStream) -> None:
        """Run a call that mostly hashes, in as many threads as there are cores.

        More of them would compete for the interpreter; but a slow disk is kept busy by many.
        """
        threads = self._threads if self._is_slow else self._hashing
        await self._run(call, key, size=stream.expected.size, threads=threads)

    async def list(self, prefix: str, *, after: str = "") -> AsyncGenerator[Entry, None]:
        """Yield the objects with a prefix, in order, with one directory at a time in memory."""
        folder, _, _ = prefix.rpartition("/")
        if folder:
            path_of(self._top, folder)
        walk = Walk(
            os.fsencode(self._folder.top),
            os.fsencode(prefix),
            os.fsencode(after),
            is_internal,
        ).entries(os.fsencode(folder and f"{folder}/"))
        self._requests += 1
        while page := await self._run(
            lambda: tuple(islice(walk, _PAGE_SIZE)), prefix, read_only=True
        ):
            for entry in page:
                yield entry

    async def delete(self, keys: Collection[Key]) -> None:
        """Delete objects, and the directories that become empty."""
        paths = {key: path_of(self._top, key) for key in keys}

        def delete() -> None:
            changed = set()
            for key, path in paths.items():
                try:
                    with self._folder.write_lock():
                        os.unlink(path)  # noqa: PTH108 (a text)
                except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                    continue
                except OSError as error:
                    raise storage_error(error, key, self._folder.top) from error
                changed.add(self._folder.prune(Path(path).parent))
            for directory in changed:
                flush_directory(directory)

        self._requests += 1
        await self._run(delete, "")

    async def _write(self, key: Key, body: bytes, check: Callable[[str], None]) -> str:
        path = path_of(self._top, key)

        def write() -> str:
            with TempFile(self._folder, path) as file:
                file.write(body)
                file.flush()
                self._barrier.wait()  # files must reach the disk before the page that names them
                with self._folder.write_lock():
                    check(path)
                    file.publish(flush=True)
            return hashlib.sha256(body).hexdigest()

        self._requests += 1
        return await self._run(write, key, size=len(body))

    async def _run(
        self,
        call: Callable[[], T],
        key: str,
        *,
        read_only: bool = False,
        size: int | None = None,
        threads: ThreadPool | None = None,
    ) -> T:
        """Run a blocking call in a thread, and map its errors; `size` is how much it writes."""
        try:
            return await (threads or self._threads).run(call, read_only=read_only)
        except OSError as error:
            raise storage_error(error, key, self._folder.top, size) from error


@contextmanager
def _open_file(path: str) -> Iterator[BufferedReader | None]:
    """Open a regular file; give None if there is none."""
    try:
        # Opening a pipe would block.
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


def _head(path: str) -> Head | None:
    with _open_file(path) as file:
        if file is None:
            return None
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Head(file.tell(), sha256, sha256)
