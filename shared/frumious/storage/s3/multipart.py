"""Multipart uploads, for files too large for one PUT or without a known sha256."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from frumious.concurrency import task_group
from frumious.storage.protocol import StorageRefused, StorageUnavailable, join_chunks
from frumious.storage.s3.errors import NoSuchObject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from frumious.model.checksums import ExpectedContent
    from frumious.model.types import Key
    from frumious.storage.s3.bucket import Bucket
    from frumious.storage.s3.capabilities import Capabilities

logger = logging.getLogger(__name__)

_MIN_PART_SIZE: Final = 8 * 1024**2  # bytes
_MAX_IN_FLIGHT: Final = 3 * _MIN_PART_SIZE  # bytes; another two parts' are being joined
_MAX_PARTS: Final = 10_000


async def upload_in_parts(
    bucket: Bucket,
    key: Key,
    chunks: AsyncIterator[bytes],
    expected: ExpectedContent,
    capabilities: Capabilities,
) -> None:
    """Upload in parts, each of which S3 verifies; `chunks` verifies the file before its end.

    Several parts are sent at the same time, as many as memory allows.

    Without checksums, the signature of a part contains its sha256.
    """
    client = bucket.client
    target: dict[str, Any] = {"Bucket": bucket.name, "Key": bucket.prefix + key}
    metadata = {"sha256": expected.sha256} if expected.sha256 is not None else {}
    if capabilities.list_uploads:
        # Of a killed process: no other process has the same job.
        await abort_uploads(bucket, key)
    algorithm: dict[str, Any] = {"ChecksumAlgorithm": "SHA256"} if capabilities.checksums else {}
    upload_id = await bucket.run(
        lambda: client.create_multipart_upload(
            **target,
            **bucket.options("CreateMultipartUpload", key, **metadata),
            **algorithm,
        )["UploadId"],
        key,
    )

    def upload_part(body: bytes, number: int) -> dict[str, Any]:
        checksum: dict[str, Any] = {}
        if capabilities.checksums:
            sha256 = hashlib.sha256(body).digest()
            checksum["ChecksumSHA256"] = base64.b64encode(sha256).decode()
        response = client.upload_part(
            **target,
            UploadId=upload_id,
            PartNumber=number,
            Body=body,
            **checksum,
            **bucket.options("UploadPart"),
        )
        return {"ETag": response["ETag"], "PartNumber": number, **checksum}

    size = part_size(expected.size)
    slots = asyncio.Semaphore(max(1, _MAX_IN_FLIGHT // size))

    async def send(body: bytes, number: int) -> Any:  # noqa: ANN401 (CompletedPart)
        try:
            return await bucket.run(lambda: upload_part(body, number), key)
        finally:
            slots.release()

    try:
        async with task_group() as group:
            sent: list[asyncio.Task[Any]] = []
            async for body in join_chunks(chunks, size):
                await slots.acquire()
                sent.append(group.create_task(send(body, len(sent) + 1)))
        parts = [task.result() for task in sent]
        await bucket.run(
            lambda: client.complete_multipart_upload(
                **target,
                UploadId=upload_id,
                MultipartUpload={"Parts": parts},
                **bucket.options("CompleteMultipartUpload"),
            ),
            key,
        )
    except NoSuchObject as error:
        msg = f"the upload of {key!r} was aborted by another process"
        raise StorageUnavailable(msg) from error
    except BaseException:
        try:
            async with asyncio.timeout(bucket.timeout):
                await _abort(bucket, target["Key"], upload_id)
        except (StorageRefused, StorageUnavailable, TimeoutError) as error:
            # Why the upload has ended matters more; `remove_leftovers` aborts it later.
            logger.warning("cannot abort an upload", extra={"error": str(error) or "timeout"})
        raise


async def abort_uploads(bucket: Bucket, prefix: str, *, before: datetime | None = None) -> int:
    """Abort the multipart uploads to keys with a prefix; return how many.

    With `before`, abort only those that began earlier. Abort none without permission to list them.
    """
    aborted = 0
    try:
        for upload in await bucket.list_uploads(prefix):
            if before is None or upload["Initiated"] < before:
                await _abort(bucket, upload["Key"], upload["UploadId"])
                aborted += 1
    except StorageRefused as error:
        logger.warning("cannot abort unfinished uploads", extra={"error": str(error)})
    return aborted


async def _abort(bucket: Bucket, name: str, upload_id: str) -> None:
    with suppress(NoSuchObject):  # another process has aborted it
        await bucket.run(
            lambda: bucket.client.abort_multipart_upload(
                Bucket=bucket.name,
                Key=name,
                UploadId=upload_id,
                **bucket.options("AbortMultipartUpload"),
            ),
            name,
        )


def part_size(size: int | None) -> int:
    """Return a part's size in bytes, with which a file of `size` bytes has few enough parts."""
    return max(_MIN_PART_SIZE, -(-(size or 0) // _MAX_PARTS))
