"""Multipart uploads, for files too large for one PUT or without a known sha256."""

from __future__ import annotations

import base64
import hashlib
import logging
from typing import TYPE_CHECKING, Any, Final

from frumious.storage.protocol import StorageRefused, join_chunks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

    from frumious.model.checksums import ExpectedContent
    from frumious.model.types import Key
    from frumious.storage.s3.bucket import Bucket

logger = logging.getLogger(__name__)

_MIN_PART_SIZE: Final = 8 * 1024**2  # bytes; a few parts are in memory at the same time
_MAX_PARTS: Final = 10_000


async def upload_in_parts(
    bucket: Bucket, key: Key, chunks: AsyncIterator[bytes], expected: ExpectedContent
) -> None:
    """Upload in parts, each of which S3 verifies; `chunks` verifies the file before its end."""
    client = bucket.client
    target: dict[str, Any] = {"Bucket": bucket.name, "Key": bucket.prefix + key}
    metadata = {"sha256": expected.sha256} if expected.sha256 is not None else {}
    await abort_uploads(bucket, key)  # of a killed process: no other process has the same job
    upload_id = await bucket.run(
        lambda: client.create_multipart_upload(
            **target,
            **bucket.options("CreateMultipartUpload", key, **metadata),
            ChecksumAlgorithm="SHA256",
        )["UploadId"],
        key,
    )

    def upload_part(body: bytes, number: int) -> CompletedPartTypeDef:
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        response = client.upload_part(
            **target,
            UploadId=upload_id,
            PartNumber=number,
            Body=body,
            ChecksumSHA256=checksum,
            **bucket.options("UploadPart"),
        )
        return {"ETag": response["ETag"], "PartNumber": number, "ChecksumSHA256": checksum}

    parts: list[CompletedPartTypeDef] = []
    try:
        async for body in join_chunks(chunks, part_size(expected.size)):
            number = len(parts) + 1
            parts.append(await bucket.run(lambda: upload_part(body, number), key))  # noqa: B023
        await bucket.run(
            lambda: client.complete_multipart_upload(
                **target,
                UploadId=upload_id,
                MultipartUpload={"Parts": parts},
                **bucket.options("CompleteMultipartUpload"),
            ),
            key,
        )
    except BaseException:
        await bucket.run(
            lambda: client.abort_multipart_upload(
                **target, UploadId=upload_id, **bucket.options("AbortMultipartUpload")
            ),
            key,
        )
        raise


async def abort_uploads(bucket: Bucket, prefix: str, *, before: datetime | None = None) -> int:
    """Abort the multipart uploads to keys with a prefix; return how many.

    With `before`, abort only those that began earlier. Servers that cannot list uploads keep them.
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
        return await bucket.run(abort, prefix)
    except StorageRefused as error:
        logger.warning("cannot list unfinished uploads", extra={"error": str(error)})
        return 0


def part_size(size: int | None) -> int:
    """Return a part's size in bytes, with which a file of `size` bytes has few enough parts."""
    return max(_MIN_PART_SIZE, -(-(size or 0) // _MAX_PARTS))
