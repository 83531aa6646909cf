"""A storage in memory, which is a folder or a bucket, as one process sees it."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from frumious.model.types import Key
from frumious.storage.protocol import Conflict, Entry, Head, Opened, StorageUnavailable, Stored
from tests.simulation.process import EPOCH

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Collection

    from frumious.model.checksums import FileStream
    from tests.simulation.process import Process

T = TypeVar("T")


class StorageFault(IntEnum):
    """What can be wrong with a request to the storage."""

    NONE = 0
    REFUSED = 1  # it has no effect
    UNANSWERED = 2  # it has its effect, and the answer is lost
    REPEATED = 3  # the client's library repeats it after a lost answer: a condition fails then


@dataclass(slots=True)
class Object:
    """What is stored under a key."""

    body: bytes
    etag: str
    shows_sha256: bool  # whether HEAD tells it
    modified: float  # seconds since the epoch
    _sha256: str = ""

    @property
    def sha256(self) -> str:
        """The hash of the body, which few objects are asked for."""
        self._sha256 = self._sha256 or hashlib.sha256(self.body).hexdigest()
        return self._sha256


class Disk:
    """What a storage holds; it outlives all processes.

    `on_change` is called after each change with the key, the new object and the old one.
    """

    def __init__(self, *, is_bucket: bool) -> None:
        self.is_bucket = is_bucket
        self.objects: dict[str, Object] = {}
        self.on_change: Callable[[str, Object | None, Object | None], None] = lambda *_: None

    def forget(self) -> None:
        """Tell nobody of changes any more."""
        self.on_change = lambda *_: None

    def put(
        self, key: str, body: bytes, *, modified: float = EPOCH, shows_sha256: bool = False
    ) -> str:
        before = self.objects.get(key)
        if self.is_bucket:
            etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
            stored = Object(body, etag, shows_sha256, modified)
        else:
            etag = hashlib.sha256(body).hexdigest()
            stored = Object(body, etag, shows_sha256=True, modified=modified, _sha256=etag)
        self.objects[key] = stored
        self.on_change(key, stored, before)
        return etag

    def spoil(self, key: str, body: bytes) -> None:
        """Damage an object behind everybody's back."""
        on_change, self.on_change = self.on_change, lambda *_: None
        self.put(key, body)
        self.on_change = on_change

    def lose(self, key: str) -> None:
        """Delete an object behind everybody's back."""
        del self.objects[key]

    def delete(self, key: str) -> None:
        before = self.objects.pop(key, None)
        if before is not None:
            self.on_change(key, None, before)


@dataclass(slots=True)
class MemoryStorage:
    """A disk, as one process uses it."""

    disk: Disk
    process: Process
    _count: int = field(default=0, init=False)

    @property
    def _now(self) -> float:
        return EPOCH + self.process.loop.elapsed  # its own clock is right

    def pop_request_count(self) -> int:
        count, self._count = self._count, 0
        return count

    async def server_time(self) -> float | None:
        return None

    async def read(self, key: Key) -> Stored | None:
        if self._passes():
            found = self.disk.objects.get(key)
        else:
            found = await self._request("reads", key, partial(self.disk.objects.get, key))
        return None if found is None else Stored(found.body, found.etag)

    async def head(self, key: Key) -> Head | None:
        found = await self._request("looks at", key, partial(self.disk.objects.get, key))
        if found is None:
            return None
        return Head(len(found.body), found.etag, found.sha256 if found.shows_sha256 else None)

    async def stream(self, key: Key) -> Opened | None:
        found = await self.read(key)

        async def chunks(body: bytes) -> AsyncGenerator[bytes, None]:
            yield body

        return None if found is None else Opened(chunks(found.body))

    async def write(self, key: Key, body: bytes, *, replacing: str | None = None) -> str:
        def write() -> str:
            current = self.disk.objects.get(key)
            if replacing is not None and (current is None or current.etag != replacing):
                msg = f"{key!r} has changed since it was read"
                raise Conflict(msg)
            return self.disk.put(key, body, modified=self._now)

        if self._passes():
            return write()
        return await self._request("writes", key, write, conditional=replacing is not None)

    async def create(self, key: Key, body: bytes) -> str:
        def create() -> str:
            if key in self.disk.objects:
                msg = f"{key!r} already exists"
                raise Conflict(msg)
            return self.disk.put(key, body, modified=self._now)

        if self._passes():
            return create()
        return await self._request("creates", key, create, conditional=True)

    async def store(self, key: Key, stream: FileStream) -> None:
        body = b"".join([chunk async for chunk in stream.verified_chunks()])
        expected = stream.expected

        def store() -> None:
            # Of a multipart upload, S3 has no sha256 of the whole.
            whole = expected.sha256 is not None and expected.size is not None
            self.disk.put(key, body, modified=self._now, shows_sha256=whole)

        await self._request("stores", key, store)

    async def list(self, prefix: str, *, after: str = "") -> AsyncGenerator[Entry, None]:
        def entries() -> list[Entry]:
            stored = self.disk.objects
            keys = sorted((key for key in stored if key.startswith(prefix)), key=str.encode)
            start = bisect_right(keys, after.encode(), key=str.encode)
            return [self._entry(Key(key), stored[key]) for key in keys[start:]]

        for entry in await self._request("lists", prefix, entries):
            yield entry

    def _entry(self, key: Key, stored: Object) -> Entry:
        etag = stored.etag if self.disk.is_bucket else None
        return Entry(key, len(stored.body), stored.modified, etag)

    async def delete(self, keys: Collection[Key]) -> None:
        def delete() -> None:
            reached = [*keys]
            if self.process.is_being_killed:
                reached = reached[: len(reached) // 2 + 1]
            for key in reached:
                self.disk.delete(key)

        if keys:
            await self._request("deletes", next(iter(keys)), delete)

    async def remove_leftovers(self) -> int:
        return 0

    def _passes(self) -> bool:
        """Whether nothing is wrong with this request, which is counted then."""
        if self.process.fate.faults or not self.process.passes():
            return False
        self._count += 1
        return True

    def _request(
        self, verb: str, key: str, effect: Callable[[], T], *, conditional: bool = False
    ) -> Awaitable[T]:
        self._count += 1
        if not self.process.fate.faults:
            return self.process.request(verb, key, effect)

        def faulty() -> T:
            fault = self.process.fate.faults.get(self.process.requests)
            if not fault:
                return effect()
            self.process.log(f"the storage: {StorageFault(fault).name.lower()} ({verb} {key})")
            if fault == StorageFault.REFUSED:
                msg = "the storage refuses for now"
                raise StorageUnavailable(msg)
            result = effect()
            if fault == StorageFault.UNANSWERED:
                msg = "the storage did not answer"
                raise StorageUnavailable(msg)
            if conditional:
                msg = f"{key!r} has changed since it was read"
                raise Conflict(msg)
            return result

        return self.process.request(verb, key, faulty)
