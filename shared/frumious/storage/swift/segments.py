"""Files too large for one object: segments, and a manifest that joins them.

Swift calls it a static large object. Readers see only the manifest, which is written last.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from contextlib import aclosing
from posixpath import commonprefix
from typing import TYPE_CHECKING, Any, Final

from frumious.errors import FrumiousError
from frumious.storage.swift.account import NotFound
from frumious.storage.swift.locations import Location, Locations, Span
from frumious.storage.swift.objects import delete_locations, list_objects

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping

    from frumious.model.types import Key
    from frumious.storage.swift.account import SwiftAccount
    from frumious.storage.swift.put import Sent, SwiftPut

logger = logging.getLogger(__name__)

_SEGMENT: Final = {"Content-Type": "application/octet-stream"}


class ChunkSplitter:
    """Splits a stream of chunks into parts."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._pending = b""

    async def has_more(self) -> bool:
        """Return whether any bytes are left."""
        while not self._pending:
            try:
                self._pending = await anext(self._chunks)
            except StopAsyncIteration:
                return False
        return True

    async def take(self, size: int) -> AsyncGenerator[bytes, None]:
        """Yield the next bytes, at most `size`."""
        while size and await self.has_more():
            piece, self._pending = self._pending[:size], self._pending[size:]
            size -= len(piece)
            yield piece


class Segments:
    """Writes and deletes the large files of a mirror."""

    def __init__(self, account: SwiftAccount, put: SwiftPut, locations: Locations) -> None:
        self._account = account
        self._put = put
        self._locations = locations

    async def store(
        self,
        key: Key,
        splitter: ChunkSplitter,
        headers: Mapping[str, str],
        *,
        size: int | None,
        segment_size: int,
    ) -> None:
        """Write a file in segments; delete those that were written if that fails."""
        target = self._locations.of_key(key)
        upload = self._locations.segments_of(key, uuid.uuid4().hex)
        segments: list[tuple[Location, Sent]] = []
        left = size
        try:
            while await splitter.has_more():
                segment = Location(upload.container, f"{upload.name}{len(segments):08}")
                expected = None if left is None else min(segment_size, left)
                async with aclosing(splitter.take(segment_size)) as chunks:
                    sent = await self._put.send(segment, chunks, _SEGMENT, size=expected)
                left = None if left is None else left - sent.size
                segments.append((segment, sent))
            replaced = await self._read_manifest(target)
            if segments:
                await self._write_manifest(target, segments, headers)
            else:  # a manifest needs at least one
                await self._put.send(target, splitter.take(0), headers, size=0)
        except BaseException:
            # The last one may have arrived without a response.
            unused = [
                Location(upload.container, f"{upload.name}{n:08}") for n in range(len(segments) + 1)
            ]
            try:
                async with asyncio.timeout(self._account.timeout):
                    await delete_locations(self._account, unused, in_bulk=False)
            except (FrumiousError, TimeoutError) as error:
                # Why the upload has ended matters more; they are deleted with the file.
                logger.warning("cannot delete segments", extra={"error": str(error) or "timeout"})
            raise
        await delete_locations(self._account, replaced, in_bulk=False)

    async def delete(self, keys: Collection[Key], *, in_bulk: bool) -> None:
        """Delete the segments of deleted files.

        Most files have none: one listing for all of them takes fewer requests than one for each.
        """
        uploads = {self._locations.segments_of(key).name for key in keys}
        if not uploads:
            return
        container = self._locations.segments
        span = Span(container, commonprefix(list(uploads)), min(uploads)[:-1])
        orphans = [
            Location(container, entry["name"])
            async for entry in list_objects(self._account, span)
            if _file_of(entry["name"]) in uploads
        ]
        await delete_locations(self._account, orphans, in_bulk=in_bulk)

    async def _write_manifest(
        self, target: Location, segments: list[tuple[Location, Sent]], headers: Mapping[str, str]
    ) -> None:
        """Join the segments; Swift compares each with its md5 and size."""
        manifest = json.dumps(
            [
                {
                    "path": f"/{segment.container}/{segment.name}",
                    "etag": sent.md5,
                    "size_bytes": sent.size,
                }
                for segment, sent in segments
            ]
        ).encode()
        await self._put.send(
            target,
            _stream(manifest),
            headers,
            size=len(manifest),
            query="?multipart-manifest=put",
        )

    async def _read_manifest(self, target: Location) -> list[Location]:
        """Return the segments of the current file, if it has any."""

        def read(swift: Any) -> list[dict[str, Any]]:  # noqa: ANN401
            headers = swift.head_object(target.container, target.name)
            if "x-static-large-object" not in headers:
                return []
            _, manifest = swift.get_object(
                target.container, target.name, query_string="multipart-manifest=get"
            )
            segments: list[dict[str, Any]] = json.loads(manifest)
            return segments

        try:
            segments = await self._account.run(read, str(target), read_only=True)
        except NotFound:
            return []
        return [Location(*segment["name"].removeprefix("/").split("/", 1)) for segment in segments]


def _file_of(name: str) -> str:
    """Return the prefix of a file's segments: `<file>/` of `<file>/<upload>/<number>`."""
    return name.rsplit("/", 2)[0] + "/"


async def _stream(body: bytes) -> AsyncIterator[bytes]:
    yield body
