"""The mirror in an S3 bucket.

boto3 makes every request but the streamed upload of a file, which `signed_put` makes.
"""

from __future__ import annotations

import asyncio
import base64
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from frumious.model.types import Key
from frumious.storage.protocol import (
    Conflict,
    Entry,
    Head,
    StorageUnavailable,
    Stored,
)
from frumious.storage.s3.bucket import Bucket, NoSuchObject
from frumious.storage.s3.capabilities import Capabilities, probe
from frumious.storage.s3.multipart import abort_uploads, upload_in_parts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from frumious.config.settings import Config
    from frumious.model.checksums import ExpectedContent

LARGEST_PUT = 5 * 1024**3  # bytes; S3 takes no more in one PUT
_PROBES = "state/probe/"  # objects that test what a server supports
_MAX_DELETED = 1000  # keys of one DeleteObjects call
_PROBED: Final[dict[str, Capabilities]] = {}  # by endpoint


class S3Storage:
    """One bucket, or a prefix of one."""

    def __init__(self, config: Config) -> None:
        self._bucket = Bucket(config)
        self._signs_payloads = config.s3.signature_version != "s3"
        self._global_timeout = config.global_timeout
        self._probe_lock = asyncio.Lock()
        self._write_lock = asyncio.Lock()  # for servers without conditional writes
        # Parts are in memory; one file at a time limits how much.
        self._multipart_lock = asyncio.Lock()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._bucket.aclose()

    async def prepare(self) -> Capabilities:
        """Find out what the server supports: once per process, and not for AWS."""
        if self._bucket.is_amazon:
            return Capabilities()
        async with self._probe_lock:
            if self._bucket.endpoint not in _PROBED:
                before = self._bucket.requests
                _PROBED[self._bucket.endpoint] = await self._probe()
                self._bucket.requests = before  # not requests of the mirror
        return _PROBED[self._bucket.endpoint]

    def pop_request_count(self) -> int:
        """Return how many requests were made since the last call."""
        count, self._bucket.requests = self._bucket.requests, 0
        return count

    async def read(self, key: Key) -> Stored | None:
        """Read a whole object (GetObject); return None if it does not exist."""
        bucket = self._bucket

        def get() -> Stored:
            response = bucket.client.get_object(
                Bucket=bucket.name, Key=bucket.prefix + key, **bucket.options("GetObject")
            )
            return Stored(response["Body"].read(), response["ETag"])

        return await bucket.find(get, key)

    async def head(self, key: Key) -> Head | None:
        """Read an object's metadata (HeadObject); return None if it does not exist."""
        bucket = self._bucket

        def head() -> Head:
            response = bucket.client.head_object(
                Bucket=bucket.name,
                Key=bucket.prefix + key,
                ChecksumMode="ENABLED",
                **bucket.options("HeadObject"),
            )
            # That of a multipart upload is a checksum of checksums, marked with a dash.
            checksum = response.get("ChecksumSHA256", "-")
            sha256 = None if "-" in checksum else base64.b64decode(checksum).hex()
            sha256 = response["Metadata"].get("sha256", sha256)
            return Head(response["ContentLength"], response["ETag"], sha256)

        return await bucket.find(head, key)

    async def write(self, key: Key, body: bytes, *, replacing: str | None = None) -> str:
        """Write an object (PutObject, with If-Match for `replacing`)."""
        if replacing is None:
            return await self._put_object(key, body)
        capabilities = await self.prepare()
        if not capabilities.if_match:
            return await self._compare_and_write(key, body, lambda etag: etag == replacing)
        etag = replacing if capabilities.quoted_etags else replacing.strip('"')
        try:
            return await self._put_object(key, body, IfMatch=etag)
        except NoSuchObject as error:
            msg = f"{key!r} was deleted since it was read"
            raise Conflict(msg) from error

    async def create(self, key: Key, body: bytes) -> str:
        """Write an object that does not exist yet (PutObject with If-None-Match)."""
        if not (await self.prepare()).if_none_match:
            return await self._compare_and_write(key, body, lambda etag: etag is None)
        return await self._put_object(key, body, IfNoneMatch="*")

    async def store(
        self, key: Key, chunks: AsyncIterator[bytes], expected: ExpectedContent
    ) -> None:
        """Stream a file with one signed PUT.

        A file that is too large, or has no known size or sha256, becomes a multipart upload.
        """
        sha256, size = expected.sha256, expected.size
        if self._signs_payloads and sha256 and size is not None and size <= LARGEST_PUT:
            await self._put_signed(key, chunks, sha256, size)
            return
        async with self._multipart_lock:
            await upload_in_parts(self._bucket, key, chunks, expected)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[Entry]:
        """Yield the objects with a prefix, in order (ListObjectsV2)."""
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
            for entry in page.get("Contents", ()):
                yield Entry(Key(entry["Key"].removeprefix(bucket.prefix)), entry["Size"])

    async def delete(self, keys: Collection[Key]) -> None:
        """Delete objects (DeleteObjects, a thousand at a time)."""
        pending = list(keys)
        for start in range(0, len(pending), _MAX_DELETED):
            batch = pending[start : start + _MAX_DELETED]
            await self._bucket.run(lambda: self._delete_objects(batch), batch[0])  # noqa: B023

    async def remove_leftovers(self) -> int:
        """Abort multipart uploads that are older than `global-timeout`, and delete probes."""
        oldest = datetime.now(UTC) - timedelta(seconds=self._global_timeout)
        aborted = await abort_uploads(self._bucket, "", before=oldest)
        probes = [entry.key async for entry in self.list(_PROBES)]
        await self.delete(probes)
        return aborted + len(probes)

    async def _put_object(self, key: Key, body: bytes, **conditions: Any) -> str:  # noqa: ANN401
        bucket = self._bucket

        def put() -> str:
            response = bucket.client.put_object(
                Bucket=bucket.name,
                Key=bucket.prefix + key,
                Body=body,
                **bucket.options("PutObject", key),
                **conditions,
            )
            return response["ETag"]

        return await bucket.run(put, key)

    async def _put_signed(
        self, key: Key, chunks: AsyncIterator[bytes], sha256: str, size: int
    ) -> None:
        bucket = self._bucket
        bucket.requests += 1
        # AWS stores the checksum itself; other servers may not.
        metadata = {} if bucket.is_amazon else {"sha256": sha256}
        options = bucket.options("PutObject", key, **metadata)
        await bucket.signed_put.send(bucket.prefix + key, chunks, options, sha256=sha256, size=size)

    async def _compare_and_write(
        self, key: Key, body: bytes, matches: Callable[[str | None], bool]
    ) -> str:
        """Compare the etag right before writing: all that is possible on some servers."""
        async with self._write_lock:
            head = await self.head(key)
            if not matches(head.etag if head is not None else None):
                msg = f"{key!r} has changed since it was read"
                raise Conflict(msg)
            return await self._put_object(key, body)

    async def _probe(self) -> Capabilities:
        key = Key(f"{_PROBES}{uuid.uuid4()}")
        try:
            return await probe(self._put_object, self._put_signed, key, self._bucket.endpoint)
        finally:
            await self.delete([key])

    def _delete_objects(self, keys: Collection[Key]) -> None:
        bucket = self._bucket
        response = bucket.client.delete_objects(
            Bucket=bucket.name,
            Delete={"Objects": [{"Key": bucket.prefix + key} for key in keys], "Quiet": True},
            **bucket.options("DeleteObjects"),
        )
        if errors := response.get("Errors"):
            msg = f"cannot delete {errors[0].get('Key')!r}: {errors[0].get('Message')}"
            raise StorageUnavailable(msg)
