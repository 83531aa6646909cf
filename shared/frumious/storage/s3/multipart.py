"""Uploads in parts: of files too large for one PUT, or of which the sha256 is not known."""

from __future__ import annotations

import base64
import hashlib
import logging
from typing import TYPE_CHECKING, Any, Final

from frumious.storage.protocol import StorageRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

    from frumious.model.checksums import ExpectedContent
    from frumious.model.types import Key
    from frumious.storage.s3.bucket import Bucket

logger = logging.getLogger(__name__)

_SMALLEST: Final = 8 * 1024**2  # bytes; a few of them are in memory at the same time
_MOST: Final = 10_000  # parts of one file


async def store_in_parts(
    bucket: Bucket, key: Key, chunks: AsyncIterator[bytes], expected: ExpectedContent
) -> None:
    """Upload in parts that S3 checks one by one; `chunks` judges the whole before the end."""
    client = bucket.client
    target: dict[str, Any] = {"Bucket": bucket.name, "Key": bucket.prefix + key}
    told = {"sha256": expected.sha256} if expected.sha256 is not None else {}
    await abort_uploads(bucket, key)  # of a process that was killed: a job is done by one only
    upload = await bucket.do(
        lambda: client.create_multipart_upload(
            **target,
            **bucket.options("CreateMultipartUpload", key, **told),
            ChecksumAlgorithm="SHA256",
        )["UploadId"],
        key,
    )

    def send(body: bytes, number: int) -> CompletedPartTypeDef:
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        answer = client.upload_part(
            **target,
            UploadId=upload,
            PartNumber=number,
            Body=body,
            ChecksumSHA256=checksum,
            **bucket.options("UploadPart"),
        )
        return {"ETag": answer["ETag"], "PartNumber": number, "ChecksumSHA256": checksum}

    parts: list[CompletedPartTypeDef] = []
    try:
        async for body in parts_of(chunks, part_size(expected.size)):
            number = len(parts) + 1
            parts.append(await bucket.do(lambda: send(body, number), key))  # noqa: B023
        await bucket.do(
            lambda: client.complete_multipart_upload(
                **target,
                UploadId=upload,
                MultipartUpload={"Parts": parts},
                **bucket.options("CompleteMultipartUpload"),
            ),
            key,
        )
    except BaseException:
        await bucket.do(
            lambda: client.abort_multipart_upload(
                **target, UploadId=upload, **bucket.options("AbortMultipartUpload")
            ),
            key,
        )
        raise


async def abort_uploads(bucket: Bucket, prefix: str, *, before: datetime | None = None) -> int:
    """Abort uploads in parts at keys that begin with `prefix`; return how many.

    With `before` only those that were begun by then. Servers that cannot list uploads keep them.
    """

    def abort() -> int:
        aborted = 0
        pages = bucket.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=bucket.name,
            Prefix=bucket.prefix + prefix,
            **bucket.options("ListMultipartUploads"),
        )
        for page in pages:
            for upload in page.get("Uploads", ()):
                if before is None or upload["Initiated"] < before:
                    bucket.client.abort_multipart_upload(
                        Bucket=bucket.name,
                        Key=upload["Key"],
                        UploadId=upload["UploadId"],
                        **bucket.options("AbortMultipartUpload"),
                    )
                    aborted += 1
        return aborted

    try:
        return await bucket.do(abort, prefix)
    except StorageRefused as error:
        logger.warning("unfinished uploads cannot be looked for", extra={"error": str(error)})
        return 0


def part_size(size: int | None) -> int:
    """Return how many bytes a part has, so that a file of `size` bytes has not too many."""
    return max(_SMALLEST, -(-(size or 0) // _MOST))


async def parts_of(chunks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """Gather chunks into parts of at least `size` bytes; the last, always there, may be less."""
    gathered = bytearray()
    async for chunk in chunks:
        if len(gathered) >= size:
            yield bytes(gathered)
            gathered.clear()
        gathered += chunk
    yield bytes(gathered)
