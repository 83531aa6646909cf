"""The mirror in a container of OpenStack Swift.

Swift keeps no conditions: of two writers who read the same, both may win. What a condition says is
compared right before writing, and within this process nobody comes in between; two machines that
write one mirror at the same time are not kept apart.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from frumious.model import layout
from frumious.model.types import Key
from frumious.storage.protocol import (
    Conflict,
    Entry,
    Guarantees,
    Head,
    StorageUnavailable,
    Stored,
)
from frumious.storage.swift import capabilities
from frumious.storage.swift.account import NotThere, SwiftAccount
from frumious.storage.swift.containers import Containers
from frumious.storage.swift.deletion import delete_locations
from frumious.storage.swift.listing import listing
from frumious.storage.swift.locations import Locations
from frumious.storage.swift.put import SwiftPut
from frumious.storage.swift.segments import ChunkSplitter, Segments

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from frumious.config.settings import Config
    from frumious.model.checksums import ExpectedContent
    from frumious.storage.swift.capabilities import Capabilities
    from frumious.storage.swift.locations import Location

logger = logging.getLogger(__name__)

_SHA256: Final = "X-Object-Meta-Sha256"
# Replicas agree a little later; the mirror decides by what it reads, so it wants the newest.
_NEWEST: Final = {"X-Newest": "true"}


class SwiftStorage:
    """One container, or a prefix of one; with `publish`, a second one for the mirror's state.

    To be made where an event loop runs.
    """

    def __init__(self, config: Config) -> None:
        swift = config.swift
        self._segment_size = swift.segment_size
        self._places = Locations.of(swift, config.directory)
        self._account = SwiftAccount(swift, config.timeout)
        self._put = SwiftPut(self._account, config.timeout, config.global_timeout)
        self._containers = Containers(self._account, self._places, publish=swift.publish)
        self._segments = Segments(self._account, self._put, self._places)
        self._capabilities: Capabilities | None = None
        self._warned = False
        self._writing: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._put.aclose()
        self._account.close()

    @property
    def guarantees(self) -> Guarantees:
        """What Swift promises: neither, as it compares no more than an md5."""
        return Guarantees(conditional_writes=False, verified_uploads=False)

    def pop_request_count(self) -> int:
        """Return how many requests were made since this was last asked; logins do not count."""
        taken, self._account.requests = self._account.requests, 0
        return taken

    async def read(self, key: Key) -> Stored | None:
        """Read a whole object; None when there is none."""
        place = await self._place(key)
        try:
            headers, body = await self._account.do(
                lambda swift: swift.get_object(place.container, place.name, headers=_NEWEST),
                str(place),
                read_only=True,
            )
        except NotThere:
            return None
        return Stored(body, _tag(headers))

    async def head(self, key: Key) -> Head | None:
        """Ask what an object is; None when there is none."""
        place = await self._place(key)
        try:
            headers = await self._account.do(
                lambda swift: swift.head_object(place.container, place.name, headers=_NEWEST),
                str(place),
                read_only=True,
            )
        except NotThere:
            return None
        return Head(int(headers["content-length"]), _tag(headers), headers.get(_SHA256.lower()))

    async def write(self, key: Key, body: bytes, *, replacing: str | None = None) -> str:
        """Write an object; where `replacing` says what was read, compare right before."""
        if replacing is None:
            return await self._write(key, body)
        self._warn()
        async with self._lock(key):
            head = await self.head(key)
            if head is None or head.etag != replacing:
                msg = f"{key!r} is no longer what was read"
                raise Conflict(msg)
            return await self._write(key, body)

    async def create(self, key: Key, body: bytes) -> str:
        """Write an object where none is (If-None-Match, which Swift takes less than strictly)."""
        self._warn()
        async with self._lock(key):
            return await self._write(key, body, {"If-None-Match": "*"})

    async def store(
        self, key: Key, chunks: AsyncIterator[bytes], expected: ExpectedContent
    ) -> None:
        """Stream a file in with one PUT, or in segments where it is too large for one."""
        place = self._places.of_key(key)
        await self._containers.ready(place.container)
        segment_size, size = await self._most_at_once(expected.size), expected.size
        headers = _headers(key)
        if expected.sha256 is not None:
            headers[_SHA256] = expected.sha256
        try:
            if size is None or size > segment_size:
                await self._containers.ready(self._places.segments)
                await self._segments.store(
                    key, ChunkSplitter(chunks), headers, size=size, segment_size=segment_size
                )
                return
            sent = await self._put.send(place, chunks, headers, size=size)
        except NotThere as error:
            raise self._gone(error) from error
        if sent.etag != sent.md5:
            await self.delete([key])
            msg = f"other bytes arrived than were sent for {place}"
            raise StorageUnavailable(msg)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[Entry]:
        """Give what is below a prefix, in order."""
        for span in self._places.spans(prefix, after):
            await self._containers.ready(span.container, reading=True)
            async with aclosing(listing(self._account, span)) as entries:
                async for entry in entries:
                    name = entry["name"].removeprefix(self._places.directory)
                    yield Entry(Key(name), entry["bytes"])

    async def remove_leftovers(self) -> int:
        """Nothing is left that is known: segments go with the object that has them next."""
        return 0

    async def delete(self, keys: Collection[Key]) -> None:
        """Delete objects, and the segments of those that have any."""
        in_bulk = (await self._cluster()).deletes_in_bulk
        places = [self._places.of_key(key) for key in keys]
        for container in {place.container for place in places}:
            await self._containers.ready(container, reading=True)
        await delete_locations(self._account, places, in_bulk=in_bulk)
        await self._segments.delete(
            [key for key in keys if key.startswith("web/packages/")], in_bulk=in_bulk
        )

    async def _place(self, key: Key) -> Location:
        """Return where to read an object."""
        place = self._places.of_key(key)
        await self._containers.ready(place.container, reading=True)
        return place

    async def _write(self, key: Key, body: bytes, condition: dict[str, str] | None = None) -> str:
        place = self._places.of_key(key)
        await self._containers.ready(place.container)
        headers = _headers(key) | {_SHA256: hashlib.sha256(body).hexdigest()} | (condition or {})
        md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()

        def put(swift: Any) -> str:  # noqa: ANN401
            # A file, because swiftclient repeats only what it can rewind.
            tag: str = swift.put_object(
                place.container,
                place.name,
                io.BytesIO(body),
                content_length=len(body),
                etag=md5,
                headers=headers,
            )
            return tag

        try:
            return await self._account.do(put, str(place))
        except NotThere as error:
            raise self._gone(error) from error

    async def _most_at_once(self, size: int | None) -> int:
        """Return how large a segment is, and thus what needs none."""
        cluster = await self._cluster()
        most = min(self._segment_size or cluster.largest_object, cluster.largest_object)
        return max(most, -(-(size or 0) // cluster.most_segments))

    async def _cluster(self) -> Capabilities:
        if self._capabilities is None:
            self._capabilities = await capabilities.ask(self._account)
        return self._capabilities

    def _gone(self, error: NotThere) -> StorageUnavailable:
        """Tell that the container was deleted; the next try makes it anew."""
        self._containers.forget()
        return StorageUnavailable(f"the container was not there: {error}")

    def _lock(self, key: Key) -> asyncio.Lock:
        return self._writing.setdefault(key, asyncio.Lock())

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "Swift cannot keep two writers apart: let one machine alone write the mirror",
                extra={"container": self._places.web},
            )


def _headers(key: Key) -> dict[str, str]:
    said = layout.headers(key)
    headers = {"Content-Type": said.content_type}
    return {**headers, "Cache-Control": said.cache_control} if said.cache_control else headers


def _tag(headers: dict[str, str]) -> str:
    return headers["etag"].strip('"')
