"""The mirror in an S3 bucket.

botocore makes every request but the streamed upload of a file, which `signed_put` makes, and the
reads and writes of whole objects, which `signed_get` and `signed_put` try first.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing, closing, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from frumious.model import layout
from frumious.model.headers import Headers, http_time
from frumious.model.types import Key
from frumious.storage.protocol import (
    CHUNK,
    Conflict,
    Entry,
    Head,
    Opened,
    StorageRefused,
    StorageUnavailable,
    Stored,
)
from frumious.storage.s3.bucket import Bucket
from frumious.storage.s3.capabilities import Capabilities
from frumious.storage.s3.errors import NoSuchObject
from frumious.storage.s3.findings import keep_findings, read_findings
from frumious.storage.s3.multipart import abort_uploads
from frumious.storage.s3.objects import Objects
from frumious.storage.s3.probing import log_missing, probe
from frumious.storage.s3.signed_get import NotRead

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection

    from botocore.response import StreamingBody
    from mypy_boto3_s3.type_defs import ObjectTypeDef

    from frumious.config.settings import Config
    from frumious.model.checksums import FileStream

LARGEST_PUT = 5 * 1024**3  # bytes; S3 takes no more in one PUT
_PROBES = "state/probe/"  # objects that test what a server supports
_PROBED: Final[dict[str, Capabilities]] = {}  # by endpoint


class S3Storage:
    """One bucket, or a prefix of one."""

    def __init__(self, config: Config) -> None:
        self._bucket = Bucket(config)
        self._signs_payloads = config.s3.signature_version != "s3"
        self._global_timeout = config.global_timeout
        self._probe_lock = asyncio.Lock()
        self._write_lock = asyncio.Lock()  # for servers without conditional writes
        # Parts are in memory, several of a file; one file at a time limits how much.
        self._multipart_lock = asyncio.Lock()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._bucket.aclose()

    async def prepare(self) -> Capabilities:
        """Find out what the server supports: once a day, and not for AWS."""
        if self._bucket.is_amazon:
            return Capabilities()
        async with self._probe_lock:
            if self._bucket.endpoint not in _PROBED:
                before = self._bucket.requests
                capabilities = await read_findings(self._bucket)
                if capabilities is None:
                    key = Key(f"{_PROBES}{uuid.uuid4()}")  # another process may be probing, too
                    capabilities = await probe(self._bucket, key)
                    await keep_findings(self._bucket, capabilities)
                log_missing(self._bucket.endpoint, capabilities)
                _PROBED[self._bucket.endpoint] = capabilities
                self._bucket.requests = before  # not requests of the mirror
        return _PROBED[self._bucket.endpoint]

    def pop_request_count(self) -> int:
        """Return how many requests were made since the last call."""
        count, self._bucket.requests = self._bucket.requests, 0
        return count

    async def read(self, key: Key) -> Stored | None:
        """Read a whole object (GetObject); return None if it does not exist."""
        bucket = self._bucket
        options = bucket.options("GetObject")
        if not options and bucket.signed_put.is_ready:
            bucket.requests += 1
            with suppress(NotRead):
                return await bucket.signed_get.read(bucket.prefix + key)

        def get() -> Stored:
            response = bucket.client.get_object(
                Bucket=bucket.name, Key=bucket.prefix + key, **options
            )
            headers = Headers.received(response["ResponseMetadata"]["HTTPHeaders"])
            with closing(response["Body"]) as body:
                return Stored(body.read(), response["ETag"], headers)

        return await bucket.find(get, key)

    async def head(self, key: Key) -> Head | None:
        """Read an object's metadata (HeadObject); return None if it does not exist."""
        return await (await self._objects()).head(key)

    async def stream(self, key: Key) -> Opened | None:
        """Open an object to read it as chunks (GetObject); return None if it does not exist."""
        bucket = self._bucket
        options = bucket.options("GetObject")

        def get() -> Opened:
            response = bucket.client.get_object(
                Bucket=bucket.name, Key=bucket.prefix + key, **options
            )
            headers = dict(response["ResponseMetadata"]["HTTPHeaders"])
            if "etag" not in headers:
                response["Body"].close()
                msg = f"S3's response for {key!r} broke off in its head"
                raise StorageUnavailable(msg)
            return Opened(self._chunks(key, response["Body"]), Headers.received(headers))

        return await bucket.find(get, key)

    async def _chunks(self, key: Key, body: StreamingBody) -> AsyncGenerator[bytes, None]:
        with closing(body):
            while chunk := await self._bucket.run(lambda: body.read(CHUNK), key):
                yield chunk

    async def write(self, key: Key, body: bytes, *, replacing: str | None = None) -> str:
        """Write an object (PutObject, with If-Match for `replacing`)."""
        objects = await self._objects()
        if replacing is None:
            return await objects.put(key, body)
        capabilities = await self.prepare()
        if not capabilities.if_match:
            return await self._compare_and_write(key, body, lambda etag: etag == replacing)
        etag = replacing if capabilities.quoted_etags else replacing.strip('"')
        try:
            return await objects.put(key, body, IfMatch=etag)
        except NoSuchObject as error:
            msg = f"{key!r} was deleted since it was read"
            raise Conflict(msg) from error

    async def create(self, key: Key, body: bytes) -> str:
        """Write an object that does not exist yet (PutObject with If-None-Match)."""
        if not (await self.prepare()).if_none_match:
            return await self._compare_and_write(key, body, lambda etag: etag is None)
        return await (await self._objects()).put(key, body, IfNoneMatch="*")

    async def store(self, key: Key, stream: FileStream) -> None:
        """Stream a file with one signed PUT.

        A file that is too large, or has no known size or sha256, becomes a multipart upload.
        """
        sha256, size = stream.expected.sha256, stream.expected.size
        objects = await self._objects()
        async with aclosing(stream.verified_chunks()) as chunks:
            if self._signs_payloads and sha256 and size is not None and size <= LARGEST_PUT:
                await objects.put_signed(key, chunks, sha256, size)
                return
            async with self._multipart_lock:
                await objects.put_in_parts(key, chunks, stream.expected)

    async def list(self, prefix: str, *, after: str = "") -> AsyncGenerator[Entry, None]:
        """Yield the objects with a prefix, in order (ListObjectsV2)."""
        async for entry in self._list(prefix, after):
            yield Entry(
                Key(entry["Key"].removeprefix(self._bucket.prefix)),
                entry["Size"],
                entry["LastModified"].timestamp(),
                entry.get("ETag"),
            )

    async def delete(self, keys: Collection[Key]) -> None:
        """Delete objects (DeleteObjects, a thousand at a time)."""
        await (await self._objects()).delete(keys)

    async def server_time(self) -> float | None:
        """Return the time of the server's response to a HEAD."""
        await self.head(layout.STATUS)
        return http_time(self._bucket.date)

    async def remove_leftovers(self) -> int:
        """Abort multipart uploads, and delete probes, that are older than `global-timeout`."""
        bucket = self._bucket
        oldest = datetime.now(UTC) - timedelta(seconds=self._global_timeout)
        aborted = 0
        if (await self.prepare()).list_uploads:
            aborted = await abort_uploads(bucket, "", before=oldest)
        probes = [
            Key(entry["Key"].removeprefix(bucket.prefix))
            async for entry in self._list(_PROBES)
            if entry["LastModified"] < oldest
        ]
        await self.delete(probes)
        return aborted + len(probes)

    async def _objects(self) -> Objects:
        return Objects(self._bucket, await self.prepare())

    async def _list(self, prefix: str, after: str = "") -> AsyncIterator[ObjectTypeDef]:
        bucket = self._bucket
        options = bucket.options("ListObjectsV2")
        if after:
            options["StartAfter"] = bucket.prefix + after
        pages = bucket.client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket.name,
            Prefix=bucket.prefix + prefix,
            **options,
        )
        page_iterator = iter(pages)
        while page := await bucket.run(lambda: next(page_iterator, None), prefix, read_only=True):
            if page.get("IsTruncated") and not page.get("NextContinuationToken"):
                msg = f"{bucket.endpoint} does not support ListObjectsV2: a listing is incomplete"
                raise StorageRefused(msg)
            for entry in bucket.listed(page):
                yield entry

    async def _compare_and_write(
        self, key: Key, body: bytes, matches: Callable[[str | None], bool]
    ) -> str:
        """Compare the etag right before writing: all that is possible on some servers."""
        objects = await self._objects()
        async with self._write_lock:
            head = await objects.head(key)
            if not matches(head.etag if head is not None else None):
                msg = f"{key!r} has changed since it was read"
                raise Conflict(msg)
            return await objects.put(key, body)
