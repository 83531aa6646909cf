"""The part of a storage that is the index without the cooldown, under the live index's keys."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec.structs import replace

from frumious.model.simple_all import stored_at
from frumious.model.types import Key

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection

    from frumious.model.checksums import FileStream
    from frumious.storage.protocol import Entry, Head, Opened, Storage, Stored


class SimpleAllStorage:
    """A `Storage` in which the pages and files of the second index are where the live ones are."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def pop_request_count(self) -> int:
        """Return how many requests were made of the whole storage since the last call."""
        return self._storage.pop_request_count()

    async def read(self, key: Key) -> Stored | None:
        """Read a whole object; return None if it does not exist."""
        return await self._storage.read(stored_at(key))

    async def head(self, key: Key) -> Head | None:
        """Read an object's metadata; return None if it does not exist."""
        return await self._storage.head(stored_at(key))

    async def stream(self, key: Key) -> Opened | None:
        """Open an object to read it as chunks; return None if it does not exist."""
        return await self._storage.stream(stored_at(key))

    async def write(self, key: Key, body: bytes, *, replacing: str | None = None) -> str:
        """Write an object and return its new etag; raise Conflict as any storage."""
        return await self._storage.write(stored_at(key), body, replacing=replacing)

    async def create(self, key: Key, body: bytes) -> str:
        """Write an object that does not exist yet; raise Conflict as any storage."""
        return await self._storage.create(stored_at(key), body)

    async def store(self, key: Key, stream: FileStream) -> None:
        """Write a file as its chunks arrive, once they are verified."""
        await self._storage.store(stored_at(key), stream)

    async def list(self, prefix: str, *, after: str = "") -> AsyncGenerator[Entry, None]:
        """Yield the objects with a prefix and a key above `after`."""
        own, start = stored_at(prefix), stored_at(after) if after else ""
        async with aclosing(self._storage.list(own, after=start)) as listing:
            async for entry in listing:
                yield replace(entry, key=Key(prefix + entry.key.removeprefix(own)))

    async def delete(self, keys: Collection[Key]) -> None:
        """Delete objects; ignore those that do not exist."""
        await self._storage.delete([stored_at(key) for key in keys])

    async def server_time(self) -> float | None:
        """Return the time of the storage's server, in seconds since the epoch; None: unknown."""
        return await self._storage.server_time()

    async def remove_leftovers(self) -> int:
        """Remove nothing: that is done for the storage as a whole."""
        return 0
