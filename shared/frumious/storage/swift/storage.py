"""The mirror in a container of OpenStack Swift.

Swift has no conditional writes. The storage compares etags right before it writes, under a lock of
this process; it cannot detect conflicts between two processes that write the same mirror.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakValueDictionary

from frumious.model.headers import Headers, headers_of, http_time
from frumious.model.types import Key
from frumious.storage.protocol import (
    Conflict,
    Entry,
    Head,
    Opened,
    StorageUnavailable,
    Stored,
)
from frumious.storage.swift import capabilities
from frumious.storage.swift.account import NotFound, SwiftAccount
from frumious.storage.swift.containers import Containers
from frumious.storage.swift.locations import Locations
from frumious.storage.swift.objects import delete_locations, list_objects
from frumious.storage.swift.put import SwiftPut
from frumious.storage.swift.segments import ChunkSplitter, Segments

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection

    from frumious.config.settings import Config
    from frumious.model.checksums import FileStream
    from frumious.storage.swift.capabilities import Capabilities
    from frumious.storage.swift.locations import Location

T = TypeVar("T")

logger = logging.getLogger(__name__)

_SHA256: Final = "X-Object-Meta-Sha256"
# Replicas become consistent a little later, but the mirror's decisions need the newest version.
_NEWEST: Final = {"X-Newest": "true"}
_RANGE: Final = 8 * 1024**2  # bytes of a chunk of `stream`


class SwiftStorage:
    """One container, or a prefix of one; with `publish`, a second one for the mirror's state.

    Create it while an event loop runs.
    """

    def __init__(self, config: Config) -> None:
        swift = config.swift
        self._segment_size = swift.segment_size
        self._locations = Locations.of(swift, config.directory)
        self._account = SwiftAccount(swift, config.timeout, config.global_timeout)
        self._put = SwiftPut(self._account, config.timeout, config.global_timeout)
        self._containers = Containers(self._account, self._locations, publish=swift.publish)
        self._segments = Segments(self._account, self._put, self._locations)
        self._capabilities: Capabilities | None = None
        self._warned = False
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._put.aclose()
        self._account.close()

    def pop_request_count(self) -> int:
        """Return how many requests were made since the last call, without logins."""
        count, self._account.requests = self._account.requests, 0
        return count

    async def read(self, key: Key) -> Stored | None:
        """Read a whole object; return None if it does not exist."""
        location = await self._readable(key)

        def get(swift: Any) -> Stored:  # noqa: ANN401
            headers, body = swift.get_object(location.container, location.name, headers=_NEWEST)
            return Stored(body, _etag(headers), Headers.received(headers))

        return await self._find(get, location)

    async def head(self, key: Key) -> Head | None:
        """Read an object's metadata; return None if it does not exist."""
        location = await self._readable(key)

        def head(swift: Any) -> Head:  # noqa: ANN401
            headers = swift.head_object(location.container, location.name, headers=_NEWEST)
            sha256, size = headers.get(_SHA256.lower()), int(headers["content-length"])
            return Head(size, _etag(headers), sha256, Headers.received(headers))

        return await self._find(head, location)

    async def stream(self, key: Key) -> Opened | None:
        """Open an object to read it as chunks; return None if it does not exist."""
        head = await self.head(key)
        return None if head is None else Opened(self._chunks(key, head), head.headers)

    async def _chunks(self, key: Key, head: Head) -> AsyncGenerator[bytes, None]:
        """Read an object range by range: a response that is open would block its connection."""
        location = self._locations.of_key(key)
        for start in range(0, head.size, _RANGE):
            headers = {"Range": f"bytes={start}-{start + _RANGE - 1}", "If-Match": head.etag}
            _, body = await self._account.run(
                lambda swift: swift.get_object(location.container, location.name, headers=headers),  # noqa: B023
                str(location),
                read_only=True,
            )
            yield body

    async def write(self, key: Key, body: bytes, *, replacing: str | None = None) -> str:
        """Write an object; with `replacing`, compare the etag right before."""
        if replacing is None:
            return await self._write(key, body)
        self._warn_once()
        async with self._lock(key):
            head = await self.head(key)
            if head is None or head.etag != replacing:
                msg = f"{key!r} has changed since it was read"
                raise Conflict(msg)
            return await self._write(key, body)

    async def create(self, key: Key, body: bytes) -> str:
        """Write an object that does not exist yet (If-None-Match, not atomic)."""
        self._warn_once()
        async with self._lock(key):
            return await self._write(key, body, {"If-None-Match": "*"})

    async def store(self, key: Key, stream: FileStream) -> None:
        """Stream a file with one PUT, or in segments if it is too large for one."""
        location, expected = self._locations.of_key(key), stream.expected
        await self._containers.ensure(location.container)
        segment_size, size = await self._max_object_size(expected.size), expected.size
        headers = _headers(key)
        if expected.sha256 is not None:
            headers[_SHA256] = expected.sha256
        try:
            async with aclosing(stream.verified_chunks()) as chunks:
                if size is None or size > segment_size:
                    await self._containers.ensure(self._locations.segments)
                    await self._segments.store(
                        key, ChunkSplitter(chunks), headers, size=size, segment_size=segment_size
                    )
                    return
                sent = await self._put.send(location, chunks, headers, size=size)
        except NotFound as error:
            raise self._container_missing(error) from error
        if sent.etag != sent.md5:
            await self.delete([key])
            msg = f"Swift received other bytes than were sent for {location}"
            raise StorageUnavailable(msg)

    async def list(self, prefix: str, *, after: str = "") -> AsyncGenerator[Entry, None]:
        """Yield the objects with a prefix, in order."""
        for span in self._locations.spans(prefix, after):
            await self._containers.ensure(span.container, read_only=True)
            async with aclosing(list_objects(self._account, span)) as entries:
                async for entry in entries:
                    name = entry["name"].removeprefix(self._locations.directory)
                    modified = datetime.fromisoformat(entry["last_modified"]).replace(tzinfo=UTC)
                    yield Entry(
                        Key(name),
                        entry["bytes"],
                        modified.timestamp(),
                        entry["hash"],
                        entry["content_type"],
                    )

    async def server_time(self) -> float | None:
        """Return the time of the server's response to a HEAD."""
        headers = await self._account.run(
            lambda swift: swift.head_account(), "the account", read_only=True
        )
        return http_time(headers.get("date", ""))

    async def remove_leftovers(self) -> int:
        """Do nothing: the next upload or deletion of a file removes its segments."""
        return 0

    async def delete(self, keys: Collection[Key]) -> None:
        """Delete objects and their segments."""
        in_bulk = (await self._cluster()).deletes_in_bulk
        locations = [self._locations.of_key(key) for key in keys]
        for container in {location.container for location in locations}:
            await self._containers.ensure(container, read_only=True)
        await delete_locations(self._account, locations, in_bulk=in_bulk)
        await self._segments.delete(
            [key for key in keys if key.startswith("web/packages/")], in_bulk=in_bulk
        )

    async def _find(self, call: Callable[[Any], T], location: Location) -> T | None:
        """Make a call that reads an object; return None if there is none."""
        try:
            return await self._account.run(call, str(location), read_only=True)
        except NotFound:
            return None

    async def _readable(self, key: Key) -> Location:
        """Return the location of an object in a container that can be read."""
        location = self._locations.of_key(key)
        await self._containers.ensure(location.container, read_only=True)
        return location

    async def _write(self, key: Key, body: bytes, condition: dict[str, str] | None = None) -> str:
        location = self._locations.of_key(key)
        await self._containers.ensure(location.container)
        headers = _headers(key) | {_SHA256: hashlib.sha256(body).hexdigest()} | (condition or {})
        md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()

        def put(swift: Any) -> str:  # noqa: ANN401
            # A file, because swiftclient retries only what it can rewind.
            etag: str = swift.put_object(
                location.container,
                location.name,
                io.BytesIO(body),
                content_length=len(body),
                etag=md5,
                headers=headers,
            )
            return etag

        try:
            return await self._account.run(put, str(location))
        except NotFound as error:
            raise self._container_missing(error) from error

    async def _max_object_size(self, size: int | None) -> int:
        """Return the maximum size of an object, and of a segment of a larger file."""
        cluster = await self._cluster()
        limit = min(self._segment_size or cluster.max_object_size, cluster.max_object_size)
        return max(limit, -(-(size or 0) // cluster.max_segments))

    async def _cluster(self) -> Capabilities:
        if self._capabilities is None:
            self._capabilities = await capabilities.fetch(self._account)
        return self._capabilities

    def _container_missing(self, error: NotFound) -> StorageUnavailable:
        """Return the error for a container that was deleted; a retry creates it again."""
        self._containers.forget()
        return StorageUnavailable(f"the container does not exist: {error}")

    def _lock(self, key: Key) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    def _warn_once(self) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "Swift has no conditional writes: let only one process write this mirror at a time",
                extra={"container": self._locations.web},
            )


def _headers(key: Key) -> dict[str, str]:
    wanted = headers_of(key)
    headers = {
        "Content-Type": wanted.content_type,
        "Content-Encoding": wanted.content_encoding,
        "Cache-Control": wanted.cache_control,
    }
    return {name: value for name, value in headers.items() if value}


def _etag(headers: dict[str, str]) -> str:
    return headers["etag"].strip('"')
