"""The mirror in an S3 bucket.

boto3 makes every call but one: the PUT that streams a file in is `signed_put`'s.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.config import Config as BotoConfig
from botocore.exceptions import BotoCoreError, ClientError

from frumious import layout
from frumious.model import Key
from frumious.storage.protocol import (
    Conflict,
    Entry,
    Guarantees,
    Head,
    StorageRefused,
    StorageUnavailable,
    Stored,
    refusal,
)
from frumious.storage.signed_put import SignedPut

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

    from frumious.config import Config
    from frumious.verify import Expected

T = TypeVar("T")

LARGEST_PUT = 5 * 1024**3  # bytes; S3 takes no more in one PUT
_SMALLEST_PART = 8 * 1024**2  # bytes; a few of them are in memory at the same time
_MOST_PARTS = 10_000
_DELETED_AT_ONCE = 1000  # keys that one DeleteObjects call takes
_LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_MISSING = frozenset({"NoSuchKey", "404"})


class S3Storage:
    """One bucket, or a prefix of one."""

    def __init__(self, config: Config) -> None:
        self._requests = 0
        self._bucket = config.bucket
        self._prefix = f"{config.prefix}/" if config.prefix else ""
        session = _session(
            config.s3.aws_access_key_id, config.s3.aws_secret_access_key, config.s3.region_name
        )
        self._client: S3Client = session.client(
            "s3",
            endpoint_url=config.s3.endpoint_url,
            config=BotoConfig(
                connect_timeout=config.timeout, retries={"mode": "standard", "max_attempts": 5}
            ),
        )
        self._client.meta.events.register("before-send.s3", self._count)
        credentials = session.get_credentials()
        if credentials is None:
            msg = f"there are no AWS credentials for the bucket {self._bucket!r}"
            raise StorageRefused(msg)
        self._put = SignedPut(config, self._client, credentials)
        # Parts are held in memory; one large file at a time keeps that small.
        self._in_parts = asyncio.Lock()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._put.close()
        self._client.close()

    @property
    def guarantees(self) -> Guarantees:
        """What S3 promises."""
        return Guarantees(conditional_writes=True, verified_uploads=True)

    def take_requests(self) -> int:
        """Return how many requests were made since this was last asked."""
        taken, self._requests = self._requests, 0
        return taken

    async def read(self, key: Key) -> Stored | None:
        """Read a whole object (GetObject); None when there is none."""

        def get() -> Stored:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            return Stored(answer["Body"].read(), answer["ETag"])

        try:
            return await self._do(get, key)
        except _NoSuchObject:
            return None

    async def head(self, key: Key) -> Head | None:
        """Ask what an object is (HeadObject); None when there is none."""

        def ask() -> Head:
            answer = self._client.head_object(
                Bucket=self._bucket, Key=self._prefix + key, ChecksumMode="ENABLED"
            )
            # A multipart upload's checksum is one of checksums, and marked with its parts.
            checksum = answer.get("ChecksumSHA256", "-")
            sha256 = None if "-" in checksum else base64.b64decode(checksum).hex()
            sha256 = answer["Metadata"].get("sha256", sha256)
            return Head(answer["ContentLength"], answer["ETag"], sha256)

        try:
            return await self._do(ask, key)
        except _NoSuchObject:
            return None

    async def write(self, key: Key, body: bytes, *, replacing: str | None = None) -> str:
        """Write an object (PutObject, with If-Match where `replacing` says what was read)."""
        headers = _headers(key)
        if replacing is None:
            return await self._do(lambda: self._put_object(key, body, **headers), key)
        try:
            return await self._do(
                lambda: self._put_object(key, body, IfMatch=replacing, **headers), key
            )
        except _NoSuchObject as error:
            msg = f"{key!r} was deleted since it was read"
            raise Conflict(msg) from error

    async def create(self, key: Key, body: bytes) -> str:
        """Write an object where none is (PutObject with If-None-Match)."""
        headers = _headers(key)
        return await self._do(lambda: self._put_object(key, body, IfNoneMatch="*", **headers), key)

    async def store(self, key: Key, chunks: AsyncIterator[bytes], expected: Expected) -> None:
        """Stream a file in with one signed PUT.

        What is too large for one, or of unknown size or sha256, is sent in parts.
        """
        sha256, size = expected.sha256, expected.size
        if sha256 is not None and size is not None and size <= LARGEST_PUT:
            self._requests += 1
            await self._put.send(
                self._prefix + key, chunks, layout.headers(key), sha256=sha256, size=size
            )
            return
        async with self._in_parts:
            await self._store_in_parts(key, chunks, expected)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[Entry]:
        """Give what is below a prefix, in order (ListObjectsV2)."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket,
            Prefix=self._prefix + prefix,
            StartAfter=self._prefix + after if after else "",
        )
        turning = iter(pages)
        while (page := await self._do(lambda: next(turning, None), Key(prefix))) is not None:
            for entry in page.get("Contents", ()):
                yield Entry(Key(entry["Key"].removeprefix(self._prefix)), entry["Size"])

    async def delete(self, keys: Collection[Key]) -> None:
        """Delete objects (DeleteObjects, a thousand at a time)."""
        waiting = list(keys)
        for start in range(0, len(waiting), _DELETED_AT_ONCE):
            some = waiting[start : start + _DELETED_AT_ONCE]
            await self._do(lambda: self._delete_objects(some), some[0])  # noqa: B023

    def _put_object(self, key: Key, body: bytes, **options: Any) -> str:  # noqa: ANN401
        answer = self._client.put_object(
            Bucket=self._bucket, Key=self._prefix + key, Body=body, **options
        )
        return answer["ETag"]

    def _delete_objects(self, keys: Collection[Key]) -> None:
        answer = self._client.delete_objects(
            Bucket=self._bucket,
            Delete={"Objects": [{"Key": self._prefix + key} for key in keys], "Quiet": True},
        )
        if failed := answer.get("Errors"):
            msg = f"{failed[0].get('Key')!r} was not deleted: {failed[0].get('Message')}"
            raise StorageUnavailable(msg)

    async def _store_in_parts(
        self, key: Key, chunks: AsyncIterator[bytes], expected: Expected
    ) -> None:
        """Upload in parts that S3 checks one by one; `chunks` judges the whole before the end."""
        part_size = max(_SMALLEST_PART, -(-(expected.size or 0) // _MOST_PARTS))
        target: dict[str, Any] = {"Bucket": self._bucket, "Key": self._prefix + key}
        upload = await self._do(
            lambda: self._client.create_multipart_upload(
                **target,
                **_headers(key),
                ChecksumAlgorithm="SHA256",
                Metadata={"sha256": expected.sha256} if expected.sha256 is not None else {},
            )["UploadId"],
            key,
        )

        def send(body: bytes, number: int) -> CompletedPartTypeDef:
            checksum = _base64_sha256(body)
            answer = self._client.upload_part(
                **target,
                UploadId=upload,
                PartNumber=number,
                Body=body,
                ChecksumSHA256=checksum,
            )
            return {"ETag": answer["ETag"], "PartNumber": number, "ChecksumSHA256": checksum}

        parts: list[CompletedPartTypeDef] = []
        try:
            async for body in _parts(chunks, part_size):
                number = len(parts) + 1
                parts.append(await self._do(lambda: send(body, number), key))  # noqa: B023
            await self._do(
                lambda: self._client.complete_multipart_upload(
                    **target, UploadId=upload, MultipartUpload={"Parts": parts}
                ),
                key,
            )
        except BaseException:
            await self._do(
                lambda: self._client.abort_multipart_upload(**target, UploadId=upload), key
            )
            raise

    async def _do(self, call: Callable[[], T], key: Key) -> T:
        """Make a boto3 call beside the event loop, and name what it did not do.

        A call cannot be stopped: whoever is cancelled waits for it, so that no write comes later.
        """
        calling = asyncio.ensure_future(asyncio.to_thread(call))
        try:
            return await asyncio.shield(calling)
        except asyncio.CancelledError:
            await asyncio.gather(calling, return_exceptions=True)
            raise
        except ClientError as error:
            said = error.response["Error"]
            code = said.get("Code", "")
            msg = f"S3 answers {code} for {key!r} in {self._bucket!r}: {said.get('Message')}"
            if code in _LOST:
                raise Conflict(msg) from error
            if code in _MISSING:
                raise _NoSuchObject(msg) from error
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            raise refusal(status, msg) from error
        except BotoCoreError as error:
            msg = f"S3 cannot be asked for {key!r} in {self._bucket!r}: {error}"
            raise StorageUnavailable(msg) from error

    def _count(self, **_: object) -> None:
        self._requests += 1


@cache
def _session(key_id: str | None, secret: str | None, region: str | None) -> boto3.Session:
    """Return the session for some credentials: making one takes longer than many requests."""
    return boto3.Session(aws_access_key_id=key_id, aws_secret_access_key=secret, region_name=region)


class _NoSuchObject(Exception):
    """There is nothing at the key."""


def _headers(key: Key) -> dict[str, Any]:
    said = layout.headers(key)
    headers = {"ContentType": said.content_type}
    return {**headers, "CacheControl": said.cache_control} if said.cache_control else headers


def _base64_sha256(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


async def _parts(chunks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """Gather chunks into parts of at least `size` bytes; the last, always there, may be less."""
    gathered = bytearray()
    async for chunk in chunks:
        if len(gathered) >= size:
            yield bytes(gathered)
            gathered.clear()
        gathered += chunk
    yield bytes(gathered)
