"""The mirror in an S3 bucket.

boto3 makes every call but one: the PUT that streams a file in is `signed_put`'s.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import uuid
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from frumious import layout
from frumious.config.s3_parameters import for_call
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
from frumious.storage.s3_abilities import Abilities, try_out
from frumious.storage.s3_parts import base64_sha256, part_size, parts_of
from frumious.storage.s3_session import is_amazon, open_client, open_session
from frumious.storage.signed_put import SignedPut

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

    from frumious.config import Config
    from frumious.verify import Expected

T = TypeVar("T")

logger = logging.getLogger(__name__)

LARGEST_PUT = 5 * 1024**3  # bytes; S3 takes no more in one PUT
_PROBES = "state/probe/"  # what is written to try a server out
_DELETED_AT_ONCE = 1000  # keys that one DeleteObjects call takes
_LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_MISSING = frozenset({"NoSuchKey", "404"})
_TRIED: Final[dict[str, Abilities]] = {}  # what servers do, by their endpoint


class S3Storage:
    """One bucket, or a prefix of one."""

    def __init__(self, config: Config) -> None:
        self._requests = 0
        self._bucket = config.bucket
        self._prefix = f"{config.prefix}/" if config.prefix else ""
        self._parameters = config.s3.parameters
        self._endpoint = config.s3.endpoint_url or ""
        self._is_amazon = is_amazon(config.s3)
        self._signs_files = config.s3.signature_version != "s3"
        session = open_session(config.s3)
        try:
            self._client = open_client(session, config.s3, timeout=config.timeout)
            self._put = SignedPut(config, self._client, session)
        except (BotoCoreError, ClientError) as error:
            msg = f"the bucket {self._bucket!r} cannot be opened: {error}"
            raise StorageRefused(msg) from error
        self._longest_transfer = config.global_timeout
        self._client.meta.events.register("before-send.s3", self._count)
        self._trying = asyncio.Lock()
        self._one_writer = asyncio.Lock()  # where the server cannot keep two apart
        # Parts are held in memory; one large file at a time keeps that small.
        self._in_parts = asyncio.Lock()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._put.close()
        self._client.close()

    @property
    def guarantees(self) -> Guarantees:
        """What S3 promises; of another server what `prepare` found, and nothing before."""
        known = Abilities() if self._is_amazon else _TRIED.get(self._endpoint)
        return known.guarantees if known is not None else Guarantees(False, False)  # noqa: FBT003

    async def prepare(self) -> Abilities:
        """Find out what a server that is not AWS's does, once in a process's life."""
        if self._is_amazon:
            return Abilities()
        async with self._trying:
            if self._endpoint not in _TRIED:
                before = self._requests
                _TRIED[self._endpoint] = await self._try_out()
                self._requests = before  # they are not what the mirror does
        return _TRIED[self._endpoint]

    def take_requests(self) -> int:
        """Return how many requests were made since this was last asked."""
        taken, self._requests = self._requests, 0
        return taken

    async def read(self, key: Key) -> Stored | None:
        """Read a whole object (GetObject); None when there is none."""

        def get() -> Stored:
            answer = self._client.get_object(
                Bucket=self._bucket, Key=self._prefix + key, **self._options("GetObject")
            )
            return Stored(answer["Body"].read(), answer["ETag"])

        try:
            return await self._do(get, key)
        except _NoSuchObject:
            return None

    async def head(self, key: Key) -> Head | None:
        """Ask what an object is (HeadObject); None when there is none."""

        def ask() -> Head:
            answer = self._client.head_object(
                Bucket=self._bucket,
                Key=self._prefix + key,
                ChecksumMode="ENABLED",
                **self._options("HeadObject"),
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
        if replacing is None:
            return await self._put_object(key, body)
        able = await self.prepare()
        if not able.replaces:
            return await self._write_unless(key, body, lambda there: there != replacing)
        tag = replacing if able.quotes else replacing.strip('"')
        try:
            return await self._put_object(key, body, IfMatch=tag)
        except _NoSuchObject as error:
            msg = f"{key!r} was deleted since it was read"
            raise Conflict(msg) from error

    async def create(self, key: Key, body: bytes) -> str:
        """Write an object where none is (PutObject with If-None-Match)."""
        if not (await self.prepare()).creates:
            return await self._write_unless(key, body, lambda there: there is not None)
        return await self._put_object(key, body, IfNoneMatch="*")

    async def store(self, key: Key, chunks: AsyncIterator[bytes], expected: Expected) -> None:
        """Stream a file in with one signed PUT.

        What is too large for one, or of unknown size or sha256, is sent in parts.
        """
        sha256, size = expected.sha256, expected.size
        if self._signs_files and sha256 and size is not None and size <= LARGEST_PUT:
            await self._put_signed(key, chunks, sha256, size)
            return
        async with self._in_parts:
            await self._store_in_parts(key, chunks, expected)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[Entry]:
        """Give what is below a prefix, in order (ListObjectsV2)."""
        options = self._options("ListObjectsV2")
        if after:
            options["StartAfter"] = self._prefix + after
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket,
            Prefix=self._prefix + prefix,
            **options,
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

    async def sweep_litter(self) -> int:
        """Abort uploads in parts that nobody can be at any more, and delete probes.

        An upload lasts no longer than `global-timeout`. Servers that cannot list uploads keep them.
        """
        oldest = datetime.now(UTC) - timedelta(seconds=self._longest_transfer)
        aborted = await self._abort_uploads("", before=oldest)
        probes = [entry.key async for entry in self.list(_PROBES)]
        await self.delete(probes)
        return aborted + len(probes)

    def _options(self, call: str, key: Key | None = None, **metadata: str) -> dict[str, Any]:
        """Return what a call is made with: for an object's headers, and as configured."""
        options = for_call(call, self._parameters)
        if key is not None:
            options = {**_headers(key), **options}
        if metadata:
            options = {**options, "Metadata": {**options.get("Metadata", {}), **metadata}}
        return options

    async def _put_object(self, key: Key, body: bytes, **conditions: Any) -> str:  # noqa: ANN401
        def put() -> str:
            answer = self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + key,
                Body=body,
                **self._options("PutObject", key),
                **conditions,
            )
            return answer["ETag"]

        return await self._do(put, key)

    async def _put_signed(
        self, key: Key, chunks: AsyncIterator[bytes], sha256: str, size: int
    ) -> None:
        self._requests += 1
        # AWS keeps the checksum itself; other servers may keep what they are told.
        told = {} if self._is_amazon else {"sha256": sha256}
        options = self._options("PutObject", key, **told)
        await self._put.send(self._prefix + key, chunks, options, sha256=sha256, size=size)

    async def _write_unless(
        self, key: Key, body: bytes, is_other: Callable[[str | None], bool]
    ) -> str:
        """Compare the tag right before writing, which is all that can be done on some servers."""
        async with self._one_writer:
            there = await self.head(key)
            if is_other(there.tag if there is not None else None):
                msg = f"{key!r} is no longer what was read"
                raise Conflict(msg)
            return await self._put_object(key, body)

    async def _try_out(self) -> Abilities:
        key = Key(f"{_PROBES}{uuid.uuid4()}")
        try:
            return await try_out(self._put_object, self._put_signed, key, self._endpoint)
        finally:
            await self.delete([key])

    def _delete_objects(self, keys: Collection[Key]) -> None:
        answer = self._client.delete_objects(
            Bucket=self._bucket,
            Delete={"Objects": [{"Key": self._prefix + key} for key in keys], "Quiet": True},
            **self._options("DeleteObjects"),
        )
        if failed := answer.get("Errors"):
            msg = f"{failed[0].get('Key')!r} was not deleted: {failed[0].get('Message')}"
            raise StorageUnavailable(msg)

    async def _store_in_parts(
        self, key: Key, chunks: AsyncIterator[bytes], expected: Expected
    ) -> None:
        """Upload in parts that S3 checks one by one; `chunks` judges the whole before the end."""
        target: dict[str, Any] = {"Bucket": self._bucket, "Key": self._prefix + key}
        told = {"sha256": expected.sha256} if expected.sha256 is not None else {}
        await self._abort_uploads(key)  # of a process that was killed: a job is done by one only
        upload = await self._do(
            lambda: self._client.create_multipart_upload(
                **target,
                **self._options("CreateMultipartUpload", key, **told),
                ChecksumAlgorithm="SHA256",
            )["UploadId"],
            key,
        )

        def send(body: bytes, number: int) -> CompletedPartTypeDef:
            checksum = base64_sha256(body)
            answer = self._client.upload_part(
                **target,
                UploadId=upload,
                PartNumber=number,
                Body=body,
                ChecksumSHA256=checksum,
                **self._options("UploadPart"),
            )
            return {"ETag": answer["ETag"], "PartNumber": number, "ChecksumSHA256": checksum}

        parts: list[CompletedPartTypeDef] = []
        try:
            async for body in parts_of(chunks, part_size(expected.size)):
                number = len(parts) + 1
                parts.append(await self._do(lambda: send(body, number), key))  # noqa: B023
            await self._do(
                lambda: self._client.complete_multipart_upload(
                    **target,
                    UploadId=upload,
                    MultipartUpload={"Parts": parts},
                    **self._options("CompleteMultipartUpload"),
                ),
                key,
            )
        except BaseException:
            await self._do(
                lambda: self._client.abort_multipart_upload(
                    **target, UploadId=upload, **self._options("AbortMultipartUpload")
                ),
                key,
            )
            raise

    async def _abort_uploads(self, prefix: str, *, before: datetime | None = None) -> int:
        """Abort uploads in parts at keys that begin with `prefix`; return how many."""

        def abort() -> int:
            aborted = 0
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket,
                Prefix=self._prefix + prefix,
                **self._options("ListMultipartUploads"),
            )
            for page in pages:
                for upload in page.get("Uploads", ()):
                    if before is None or upload["Initiated"] < before:
                        self._client.abort_multipart_upload(
                            Bucket=self._bucket,
                            Key=upload["Key"],
                            UploadId=upload["UploadId"],
                            **self._options("AbortMultipartUpload"),
                        )
                        aborted += 1
            return aborted

        try:
            return await self._do(abort, Key(prefix))
        except StorageRefused as error:
            logger.warning("unfinished uploads cannot be looked for", extra={"error": str(error)})
            return 0

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
            if status == HTTPStatus.NOT_IMPLEMENTED:
                raise StorageRefused(msg) from error
            raise refusal(status, msg) from error
        except BotoCoreError as error:
            msg = f"S3 cannot be asked for {key!r} in {self._bucket!r}: {error}"
            raise StorageUnavailable(msg) from error

    def _count(self, **_: object) -> None:
        self._requests += 1


class _NoSuchObject(Exception):
    """There is nothing at the key."""


def _headers(key: Key) -> dict[str, Any]:
    said = layout.headers(key)
    headers = {"ContentType": said.content_type}
    return {**headers, "CacheControl": said.cache_control} if said.cache_control else headers
