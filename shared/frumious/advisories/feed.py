"""Fetches the feed of advisories, if it has changed: from the web, a bucket, or a file."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from msgspec import structs

from frumious.advisories.archive import InvalidFeed, read_archive
from frumious.backoff import Backoff
from frumious.config import values
from frumious.config.advisories import OSV
from frumious.errors import FrumiousError, Retryable
from frumious.simple.values import valid_etag
from frumious.upstream.client import Client
from frumious.upstream.failures import TooLarge, UpstreamUnavailable

if TYPE_CHECKING:
    from frumious.clock import Clock
    from frumious.config.advisories import AdvisoryPolicy
    from frumious.config.settings import Config
    from frumious.model.advisories import Advisories

MAX_ARCHIVE: Final = 256 * 1024**2  # bytes; OSV's has some tens of MB
_SECONDS: Final = 300.0  # that one attempt may take as a whole
_CHUNK: Final = 1024**2

logger = logging.getLogger(__name__)


class FeedUnavailable(FrumiousError):
    """The feed cannot be read now."""


async def fetch_feed(
    policy: AdvisoryPolicy, etag: str, config: Config, clock: Clock
) -> Advisories | None:
    """Return what the feed says; None: it has not changed since it had the ETag.

    The archive is on the disk while it is read; not more than a part of it is in memory.

    Raises:
        FeedUnavailable: it cannot be read.
        InvalidFeed: it is no archive of advisories.
    """
    with tempfile.TemporaryFile() as file:
        try:
            if policy.feed.startswith("s3://"):
                from frumious.storage.s3.fetching import fetch_object  # noqa: PLC0415

                args = (policy.feed, etag, MAX_ARCHIVE, _SECONDS, file, config)
                new_etag = await asyncio.to_thread(fetch_object, *args)
            elif policy.feed.startswith("/"):
                new_etag = await asyncio.to_thread(_copy, Path(policy.feed), etag, file)
            else:
                new_etag = await _download(policy.feed, etag, file, config, clock)
        except (FrumiousError, OSError, TimeoutError) as error:
            if isinstance(error, InvalidFeed):
                raise
            msg = f"{policy.feed} cannot be read: {str(error) or 'it takes too long'}"
            raise FeedUnavailable(msg) from error
        if etag and new_etag == etag:
            return None
        file.flush()
        advisories = await asyncio.to_thread(read_archive, file, policy.action_of)
    return structs.replace(
        advisories, source=policy.source, policy=policy.fingerprint, etag=new_etag[:1000]
    )


async def _download(url: str, etag: str, file: IO[bytes], config: Config, clock: Clock) -> str:
    """Download an archive, by a client of its own: nothing else may be read from the feed's host.

    Returns the ETag; an unchanged one where the server says that nothing has changed.
    """
    address = values.address(url)
    public = frozenset({address[0]}) if address and url == OSV else frozenset[str]()
    allowed = frozenset({address} if address else ())
    client = Client(
        structs.replace(config, allowed_hosts=allowed, public_hosts=public, logins={}), clock
    )
    backoff = Backoff(clock)
    try:
        while True:
            try:
                async with asyncio.timeout(_SECONDS):
                    return await _attempt(url, etag, file, client)
            except Retryable as error:
                await backoff.wait(error)
    finally:
        await client.close()


async def _attempt(url: str, etag: str, file: IO[bytes], client: Client) -> str:
    headers = {"Accept-Encoding": "identity", **({"If-None-Match": etag} if etag else {})}
    file.seek(0)
    file.truncate()
    async with client.open(url, headers=headers) as response:
        if response.status == HTTPStatus.NOT_MODIFIED and etag:
            return etag
        if response.status != HTTPStatus.OK:
            msg = f"{url} returned the status {response.status}"
            raise FeedUnavailable(msg)
        size = 0
        async for chunk in client.pace(url).chunks(response):
            size += len(chunk)
            if size > MAX_ARCHIVE:
                msg = f"{url} sent more than {MAX_ARCHIVE} bytes"
                raise TooLarge(msg)
            file.write(chunk)
        length = response.content_length
        if length is not None and length != size:
            msg = f"{url} sent {size} of {length} bytes"
            raise UpstreamUnavailable(msg)
        return valid_etag(response.headers.get("ETag", ""))


def _copy(path: Path, etag: str, file: IO[bytes]) -> str:
    """Copy a file, and return what identifies its content."""
    with path.open("rb") as source:
        status = path.stat()
        new_etag = f"{status.st_mtime_ns}-{status.st_size}"
        if new_etag == etag:
            return etag
        if status.st_size > MAX_ARCHIVE:
            msg = f"{path} has more than {MAX_ARCHIVE} bytes"
            raise FeedUnavailable(msg)
        while chunk := source.read(_CHUNK):
            file.write(chunk)
        return new_etag
