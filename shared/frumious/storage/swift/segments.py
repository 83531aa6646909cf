"""Files too large for one object of Swift's: segments, and a manifest that makes a file of them.

Readers see the manifest's object alone, and that is written last (a static large object).
"""

from __future__ import annotations

import json
import uuid
from contextlib import aclosing
from posixpath import commonprefix
from typing import TYPE_CHECKING, Any, Final

from frumious.storage.swift.account import NotThere
from frumious.storage.swift.deletion import delete_locations
from frumious.storage.swift.listing import listing
from frumious.storage.swift.locations import Location, Locations, Span

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping

    from frumious.model.types import Key
    from frumious.storage.swift.account import SwiftAccount
    from frumious.storage.swift.put import Sent, SwiftPut

_SEGMENT: Final = {"Content-Type": "application/octet-stream"}


class ChunkSplitter:
    """Chunks, taken a stretch at a time; what is left waits."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._held = b""

    async def more(self) -> bool:
        """Say whether anything is left."""
        while not self._held:
            try:
                self._held = await anext(self._chunks)
            except StopAsyncIteration:
                return False
        return True

    async def take(self, size: int) -> AsyncGenerator[bytes, None]:
        """Give at most `size` bytes."""
        while size and await self.more():
            piece, self._held = self._held[:size], self._held[size:]
            size -= len(piece)
            yield piece


class Segments:
    """Writes and deletes the large files of one mirror."""

    def __init__(self, account: SwiftAccount, put: SwiftPut, places: Locations) -> None:
        self._account = account
        self._put = put
        self._places = places

    async def store(
        self,
        key: Key,
        cutter: ChunkSplitter,
        headers: Mapping[str, str],
        *,
        size: int | None,
        segment_size: int,
    ) -> None:
        """Write a file in segments; what of it has been written is deleted when that fails."""
        target = self._places.of_key(key)
        upload = self._places.segments_of(key, uuid.uuid4().hex)
        parts: list[tuple[Location, Sent]] = []
        left = size
        try:
            while await cutter.more():
                part = Location(upload.container, f"{upload.name}{len(parts):08}")
                expected = None if left is None else min(segment_size, left)
                async with aclosing(cutter.take(segment_size)) as chunks:
                    sent = await self._put.send(part, chunks, _SEGMENT, size=expected)
                left = None if left is None else left - sent.size
                parts.append((part, sent))
            replaced = await self._parts_of(target)
            if parts:
                await self._write_manifest(target, parts, headers)
            else:  # a manifest needs one at least
                await self._put.send(target, cutter.take(0), headers, size=0)
        except BaseException:
            # Whatever has arrived, the part under way included.
            unused = [
                Location(upload.container, f"{upload.name}{n:08}") for n in range(len(parts) + 1)
            ]
            await delete_locations(self._account, unused, in_bulk=False)
            raise
        await delete_locations(self._account, replaced, in_bulk=False)

    async def delete(self, keys: Collection[Key], *, in_bulk: bool) -> None:
        """Delete the segments of files that have been deleted, where there are any.

        Most files have none, so that one listing for all is less than a question for each.
        """
        uploads = {self._places.segments_of(key).name for key in keys}
        if not uploads:
            return
        container = self._places.segments
        span = Span(container, commonprefix(list(uploads)), min(uploads)[:-1])
        gone = [
            Location(container, entry["name"])
            async for entry in listing(self._account, span)
            if _file_of(entry["name"]) in uploads
        ]
        await delete_locations(self._account, gone, in_bulk=in_bulk)

    async def _write_manifest(
        self, target: Location, parts: list[tuple[Location, Sent]], headers: Mapping[str, str]
    ) -> None:
        """Make one object of the parts; Swift compares each with its md5 and size."""
        manifest = json.dumps(
            [
                {
                    "path": f"/{part.container}/{part.name}",
                    "etag": sent.md5,
                    "size_bytes": sent.size,
                }
                for part, sent in parts
            ]
        ).encode()
        await self._put.send(
            target,
            _once(manifest),
            headers,
            size=len(manifest),
            query="?multipart-manifest=put",
        )

    async def _parts_of(self, target: Location) -> list[Location]:
        """Return the segments of the file that is there, if it has any."""

        def ask(swift: Any) -> list[dict[str, Any]]:  # noqa: ANN401
            held = swift.head_object(target.container, target.name)
            if "x-static-large-object" not in held:
                return []
            _, manifest = swift.get_object(
                target.container, target.name, query_string="multipart-manifest=get"
            )
            parts: list[dict[str, Any]] = json.loads(manifest)
            return parts

        try:
            parts = await self._account.do(ask, str(target), read_only=True)
        except NotThere:
            return []
        return [Location(*part["name"].removeprefix("/").split("/", 1)) for part in parts]


def _file_of(name: str) -> str:
    """Return what all segments of a file begin with: `<file>/` of `<file>/<upload>/<number>`."""
    return name.rsplit("/", 2)[0] + "/"


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
