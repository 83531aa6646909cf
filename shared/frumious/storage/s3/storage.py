"""The mirror in an S3 bucket.

boto3 makes every call but one: the PUT that streams a file in is `signed_put`'s.
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
    Guarantees,
    Head,
    StorageUnavailable,
    Stored,
)
from frumious.storage.s3.bucket import Bucket, NoSuchObject
from frumious.storage.s3.capabilities import Capabilities, probe
from frumious.storage.s3.multipart import abort_uploads, store_in_parts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from frumious.config.settings import Config
    from frumious.model.checksums import ExpectedContent

LARGEST_PUT = 5 * 1024**3  # bytes; S3 takes no more in one PUT
_PROBES = "state/probe/"  # what is written to try a server out
_DELETED_AT_ONCE = 1000  # keys that one DeleteObjects call takes
_PROBED: Final[dict[str, Capabilities]] = {}  # what servers do, by their endpoint


class S3Storage:
    """One bucket, or a prefix of one."""

    def __init__(self, config: Config) -> None:
        self._bucket = Bucket(config)
        self._signs_files = config.s3.signature_version != "s3"
        self._longest_transfer = config.global_timeout
        self._trying = asyncio.Lock()
        self._one_writer = asyncio.Lock()  # where the server cannot keep two apart
        # Parts are held in memory; one large file at a time keeps that small.
        self._in_parts = asyncio.Lock()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._bucket.aclose()

    @property
    def guarantees(self) -> Guarantees:
        """What S3 promises; of another server what `prepare` found, and nothing before."""
        known = Capabilities() if self._bucket.is_amazon else _PROBED.get(self._bucket.endpoint)
        return known.guarantees if known is not None else Guarantees(False, False)  # noqa: FBT003

    async def prepare(self) -> Capabilities:
        """Find out what a server that is not AWS's does, once in a process's life."""
        if self._bucket.is_amazon:
            return Capabilities()
        async with self._trying:
            if self._bucket.endpoint not in _PROBED:
                before = self._bucket.requests
                _PROBED[self._bucket.endpoint] = await self._probe()
                self._bucket.requests = before  # they are not what the mirror does
        return _PROBED[self._bucket.endpoint]

    def pop_request_count(self) -> int:
        """Return how many requests were made since this was last asked."""
        taken, self._bucket.requests = self._bucket.requests, 0
        return taken

    async def read(self, key: Key) -> Stored | None:
        """Read a whole object (GetObject); None when there is none."""
        bucket = self._bucket

        def get() -> Stored:
            answer = bucket.client.get_object(
                Bucket=bucket.name, Key=bucket.prefix + key, **bucket.options("GetObject")
            )
            return Stored(answer["Body"].read(), answer["ETag"])

        try:
            return await bucket.do(get, key, read_only=True)
        except NoSuchObject:
            return None

    async def head(self, key: Key) -> Head | None:
        """Ask what an object is (HeadObject); None when there is none."""
        bucket = self._bucket

        def ask() -> Head:
            answer = bucket.client.head_object(
                Bucket=bucket.name,
                Key=bucket.prefix + key,
                ChecksumMode="ENABLED",
                **bucket.options("HeadObject"),
            )
            # A multipart upload's checksum is one of checksums, and marked with its parts.
            checksum = answer.get("ChecksumSHA256", "-")
            sha256 = None if "-" in checksum else base64.b64decode(checksum).hex()
            sha256 = answer["Metadata"].get("sha256", sha256)
            return Head(answer["ContentLength"], answer["ETag"], sha256)

        try:
            return await bucket.do(ask, key, read_only=True)
        except NoSuchObject:
            return None

    async def write(self, key: Key, body: bytes, *, replacing: str | None = None) -> str:
        """Write an object (PutObject, with If-Match where `replacing` says what was read)."""
        if replacing is None:
            return await self._put_object(key, body)
        able = await self.prepare()
        if not able.replaces:
            return await self._write_unless(key, body, lambda there: there != replacing)
        tag = replacing if able.quotes else replacing.strip('"')
        try:
            return await self._put_object(key, body, IfMatch=tag)
        except NoSuchObject as error:
            msg = f"{key!r} was deleted since it was read"
            raise Conflict(msg) from error

    async def create(self, key: Key, body: bytes) -> str:
        """Write an object where none is (PutObject with If-None-Match)."""
        if not (await self.prepare()).creates:
            return await self._write_unless(key, body, lambda there: there is not None)
        return await self._put_object(key, body, IfNoneMatch="*")

    async def store(
        self, key: Key, chunks: AsyncIterator[bytes], expected: ExpectedContent
    ) -> None:
        """Stream a file in with one signed PUT.

        What is too large for one, or of unknown size or sha256, is sent in parts.
        """
        sha256, size = expected.sha256, expected.size
        if self._signs_files and sha256 and size is not None and size <= LARGEST_PUT:
            await self._put_signed(key, chunks, sha256, size)
            return
        async with self._in_parts:
            await store_in_parts(self._bucket, key, chunks, expected)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[Entry]:
        """Give what is below a prefix, in order (ListObjectsV2)."""
        bucket = self._bucket
        options = bucket.options("ListObjectsV2")
        if after:
            options["StartAfter"] = bucket.prefix + after
        pages = bucket.client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket.name,
            Prefix=bucket.prefix + prefix,
            **options,
        )
        turning = iter(pages)
        while page := await bucket.do(lambda: next(turning, None), prefix, read_only=True):
            for entry in page.get("Contents", ()):
                yield Entry(Key(entry["Key"].removeprefix(bucket.prefix)), entry["Size"])

    async def delete(self, keys: Collection[Key]) -> None:
        """Delete objects (DeleteObjects, a thousand at a time)."""
        waiting = list(keys)
        for start in range(0, len(waiting), _DELETED_AT_ONCE):
            some = waiting[start : start + _DELETED_AT_ONCE]
            await self._bucket.do(lambda: self._delete_objects(some), some[0])  # noqa: B023

    async def remove_leftovers(self) -> int:
        """Abort uploads in parts that nobody can be at any more, and delete probes.

        An upload lasts no longer than `global-timeout`. Servers that cannot list uploads keep them.
        """
        oldest = datetime.now(UTC) - timedelta(seconds=self._longest_transfer)
        aborted = await abort_uploads(self._bucket, "", before=oldest)
        probes = [entry.key async for entry in self.list(_PROBES)]
        await self.delete(probes)
        return aborted + len(probes)

    async def _put_object(self, key: Key, body: bytes, **conditions: Any) -> str:  # noqa: ANN401
        bucket = self._bucket

        def put() -> str:
            answer = bucket.client.put_object(
                Bucket=bucket.name,
                Key=bucket.prefix + key,
                Body=body,
                **bucket.options("PutObject", key),
                **conditions,
            )
            return answer["ETag"]

        return await bucket.do(put, key)

    async def _put_signed(
        self, key: Key, chunks: AsyncIterator[bytes], sha256: str, size: int
    ) -> None:
        bucket = self._bucket
        bucket.requests += 1
        # AWS keeps the checksum itself; other servers may keep what they are told.
        told = {} if bucket.is_amazon else {"sha256": sha256}
        options = bucket.options("PutObject", key, **told)
        await bucket.signed_put.send(bucket.prefix + key, chunks, options, sha256=sha256, size=size)

    async def _write_unless(
        self, key: Key, body: bytes, is_other: Callable[[str | None], bool]
    ) -> str:
        """Compare the tag right before writing, which is all that can be done on some servers."""
        async with self._one_writer:
            there = await self.head(key)
            if is_other(there.etag if there is not None else None):
                msg = f"{key!r} is no longer what was read"
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
        answer = bucket.client.delete_objects(
            Bucket=bucket.name,
            Delete={"Objects": [{"Key": bucket.prefix + key} for key in keys], "Quiet": True},
            **bucket.options("DeleteObjects"),
        )
        if failed := answer.get("Errors"):
            msg = f"{failed[0].get('Key')!r} was not deleted: {failed[0].get('Message')}"
            raise StorageUnavailable(msg)
