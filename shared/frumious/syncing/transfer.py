"""Files from upstream into the storage: several at once, none of them ever whole in memory."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from frumious.backoff import Backoff
from frumious.model.checksums import WrongBytes, verified_chunks
from frumious.simple.values import InvalidPage
from frumious.storage.protocol import StorageUnavailable
from frumious.upstream.client import HostRefused, TooLarge, UpstreamUnavailable
from frumious.upstream.download import DownloadInterrupted, FileMissing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.checksums import ExpectedContent
    from frumious.model.types import Key, RunId
    from frumious.syncing.blobs import Blob

logger = logging.getLogger(__name__)

# Faults that are one file's alone: the others are stored and published.
_FILE_S_OWN = (DownloadInterrupted, FileMissing, HostRefused, InvalidPage, TooLarge, WrongBytes)
_TELL_EVERY = 4 * 1024**2  # bytes between two lines about a file that is under way


@dataclass(slots=True)
class Attempt:
    """One try of a job: what is known of earlier ones, and how far this one has come."""

    resuming: bool = False  # earlier ones may have stored files
    last: bool = False  # what cannot be had now is left out, so that the rest gets on
    open_runs: Collection[RunId] = ()  # of which not all results may be recorded
    stored: int = 0  # blobs, so far


async def store_blobs(
    project: NormalizedName, blobs: Collection[Blob], mirror: Mirror, attempt: Attempt
) -> dict[Key, str]:
    """Store the blobs, and return why some of them cannot be: the others are stored.

    Raises:
        UpstreamUnavailable, StorageUnavailable: nothing can be said of the rest for now.
    """
    left_out = (*_FILE_S_OWN, UpstreamUnavailable) if attempt.last else _FILE_S_OWN

    async def store(blob: Blob) -> tuple[Key, str] | None:
        async with mirror.transfers:
            if attempt.resuming and await _is_stored(blob, mirror):
                return None
            try:
                await _store(project, blob, mirror)
            except left_out as error:
                return blob.key, str(error)
            attempt.stored += 1
            logger.debug("file stored", extra={"project": project, "key": blob.key})
            return None

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(store(blob)) for blob in blobs]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return dict(filter(None, (task.result() for task in tasks)))


async def _is_stored(blob: Blob, mirror: Mirror) -> bool:
    """Say whether the storage has the blob; what it has was verified before it was visible."""
    if blob.expected is None:
        return False  # small, and nothing tells whether it is the same
    head = await mirror.storage.head(blob.key)
    if head is None:
        return False
    if blob.expected.sha256 is not None:
        # Size alone will not do: a page may promise another hash than the one that was verified.
        return head.sha256 == blob.expected.sha256
    return head.size == blob.expected.size


async def _store(project: NormalizedName, blob: Blob, mirror: Mirror) -> None:
    if blob.expected is None:
        await _store_provenance(blob, mirror)
    else:
        await _store_file(project, blob, blob.expected, mirror)


async def _store_provenance(blob: Blob, mirror: Mirror) -> None:
    body = await mirror.upstream.provenance(blob.url)
    if body is None:
        msg = f"upstream names {blob.url} but does not have it"
        raise FileMissing(msg)
    await mirror.storage.write(blob.key, body)


async def _store_file(
    project: NormalizedName, blob: Blob, expected: ExpectedContent, mirror: Mirror
) -> None:
    """Stream one file from the first source that has it right.

    The last source is asked a second time, from the start, when its bytes were wrong.
    """
    sources = mirror.upstream.sources(blob.url)
    for source in sources:
        last = source is sources[-1]
        try:
            await _stream_patiently(project, blob.key, source, expected, mirror)
        except (DownloadInterrupted, WrongBytes) as error:
            logger.warning("file is fetched again", extra={"project": project, "error": str(error)})
        except (FileMissing, HostRefused, UpstreamUnavailable):
            if last:
                raise
        else:
            return
    await _stream_patiently(project, blob.key, sources[-1], expected, mirror)


async def _stream_patiently(
    project: NormalizedName, key: Key, url: str, expected: ExpectedContent, mirror: Mirror
) -> None:
    """Stream one file, and once more from the start when the storage broke off."""
    backoff = Backoff(mirror.clock)
    while True:
        try:
            return await _stream(project, key, url, expected, mirror)
        except StorageUnavailable as error:
            await backoff.wait(error)


async def _stream(
    project: NormalizedName, key: Key, url: str, expected: ExpectedContent, mirror: Mirror
) -> None:
    async with mirror.upstream.download(url) as download:
        if expected.size is None:
            if download.size is not None and download.size > expected.max_size:
                msg = f"{url} announces {download.size} bytes, more than {expected.max_size}"
                raise WrongBytes(msg)
            expected = replace(expected, size=download.size)
        elif download.size not in {None, expected.size}:
            msg = f"{url} announces {download.size} bytes, its page promises {expected.size}"
            raise WrongBytes(msg)
        chunks = verified_chunks(_told(download.chunks, project), expected, url)
        async with aclosing(chunks):
            await mirror.storage.store(key, chunks, expected)


async def _told(chunks: AsyncIterator[bytes], project: NormalizedName) -> AsyncIterator[bytes]:
    """Pass chunks on, and tell now and then how much has passed."""
    untold = 0
    async for chunk in chunks:
        yield chunk
        untold += len(chunk)
        if untold >= _TELL_EVERY:
            logger.debug("bytes stored", extra={"project": project, "bytes": untold})
            untold = 0
    logger.debug("bytes stored", extra={"project": project, "bytes": untold})
