"""Requests for single objects, without the features that the server does not support."""

from __future__ import annotations

import base64
import zlib
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from frumious.concurrency import run_all, to_the_end
from frumious.model.headers import Headers
from frumious.storage.protocol import Head
from frumious.storage.s3.errors import NoSuchObject, error_for
from frumious.storage.s3.multipart import upload_in_parts
from frumious.storage.s3.signed_put import MAX_WHOLE, NotWritten

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from frumious.model.checksums import ExpectedContent
    from frumious.model.types import Key
    from frumious.storage.s3.bucket import Bucket
    from frumious.storage.s3.capabilities import Capabilities

_MAX_DELETED: Final = 1000  # keys of one DeleteObjects call


class Objects:
    """The objects of one bucket, or of a prefix of one."""

    def __init__(self, bucket: Bucket, capabilities: Capabilities) -> None:
        self._bucket = bucket
        self._capabilities = capabilities

    async def head(self, key: Key) -> Head | None:
        """Read an object's metadata; return None if it does not exist."""
        bucket = self._bucket
        options = bucket.options("HeadObject")
        if self._capabilities.checksums:
            options["ChecksumMode"] = "ENABLED"

        def head() -> Head:
            response = bucket.client.head_object(
                Bucket=bucket.name, Key=bucket.prefix + key, **options
            )
            # That of a multipart upload is a checksum of checksums, marked with a dash.
            checksum = response.get("ChecksumSHA256", "-")
            sha256 = None if "-" in checksum else base64.b64decode(checksum).hex()
            sha256 = response["Metadata"].get("sha256", sha256)
            headers = Headers.received(response["ResponseMetadata"]["HTTPHeaders"])
            return Head(response["ContentLength"], response["ETag"], sha256, headers)

        return await bucket.find(head, key)

    async def put(self, key: Key, body: bytes, **conditions: Any) -> str:  # noqa: ANN401
        """Write an object and return its etag; `conditions` are parameters of PutObject."""
        bucket = self._bucket
        options = {**bucket.options("PutObject", key), **conditions}
        checksum = {}
        if bucket.is_amazon:  # as botocore does; S3 keeps it, and reads are compared with it
            crc32 = zlib.crc32(body).to_bytes(4)
            checksum = {"ChecksumCRC32": base64.b64encode(crc32).decode()}

        def put() -> str:
            response = bucket.client.put_object(
                Bucket=bucket.name, Key=bucket.prefix + key, Body=body, **options
            )
            return response["ETag"]

        if len(body) <= MAX_WHOLE and bucket.signed_put.is_ready:
            bucket.requests += 1
            with suppress(NotWritten):
                return await to_the_end(
                    bucket.signed_put.write(bucket.prefix + key, body, {**options, **checksum}),
                    grace=bucket.timeout,
                )
        return await bucket.run(put, key)

    async def put_signed(
        self, key: Key, chunks: AsyncIterator[bytes], sha256: str, size: int
    ) -> None:
        """Stream an object with one PUT, signed with its sha256."""
        bucket = self._bucket
        bucket.requests += 1
        # AWS stores the checksum itself; other servers may not.
        metadata = {} if bucket.is_amazon else {"sha256": sha256}
        options = bucket.options("PutObject", key, **metadata)
        if self._capabilities.checksums:
            options["ChecksumAlgorithm"] = "SHA256"  # without it some servers do not store it
            options["ChecksumSHA256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
        await bucket.signed_put.send(bucket.prefix + key, chunks, options, sha256=sha256, size=size)

    async def put_in_parts(
        self, key: Key, chunks: AsyncIterator[bytes], expected: ExpectedContent
    ) -> None:
        """Stream an object with a multipart upload."""
        await upload_in_parts(self._bucket, key, chunks, expected, self._capabilities)

    async def delete(self, keys: Collection[Key]) -> None:
        """Delete objects, a thousand at a time if the server supports it."""
        if not self._capabilities.delete_objects:
            await run_all(self._delete_object(key) for key in keys)
            return
        pending = list(keys)
        for start in range(0, len(pending), _MAX_DELETED):
            batch = pending[start : start + _MAX_DELETED]
            await self._bucket.run(lambda: self._delete_objects(batch), batch[0])  # noqa: B023

    async def _delete_object(self, key: Key) -> None:
        bucket = self._bucket
        options = bucket.options("DeleteObject")
        try:
            await bucket.run(
                lambda: bucket.client.delete_object(
                    Bucket=bucket.name, Key=bucket.prefix + key, **options
                ),
                key,
            )
        except NoSuchObject:
            return

    def _delete_objects(self, keys: Collection[Key]) -> None:
        bucket = self._bucket
        response = bucket.client.delete_objects(
            Bucket=bucket.name,
            Delete={"Objects": [{"Key": bucket.prefix + key} for key in keys], "Quiet": True},
            **bucket.options("DeleteObjects"),
        )
        for each in response.get("Errors", ()):
            msg = f"cannot delete {each.get('Key')!r}: {each.get('Message')}"
            error = error_for(HTTPStatus.OK, each.get("Code", ""), msg)
            if not isinstance(error, NoSuchObject):  # which some servers report
                raise error
