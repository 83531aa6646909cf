"""A file on its way from upstream, resumed where the connection breaks."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp

from frumious.backoff import Backoff
from frumious.errors import FrumiousError
from frumious.upstream.client import CHUNK, Client, UpstreamUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

_RESUMES = 5


class FileMissing(FrumiousError):
    """Upstream names a file that it does not give."""


class DownloadInterrupted(FrumiousError):
    """A file's transfer ended before its end, again and again."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file on its way from upstream."""

    size: int | None  # bytes that upstream announced
    chunks: AsyncIterator[bytes]


@asynccontextmanager
async def download(client: Client, url: str) -> AsyncIterator[Download]:
    """Open a file; its bytes come as they arrive.

    Raises:
        FileMissing: upstream does not give the file.
        UpstreamUnavailable: upstream did not answer; also while reading.
        DownloadInterrupted: while reading; the connection broke more often than it is worth.
        HostRefused: the address leads to a host that is not allowed.
    """
    async with AsyncExitStack() as opened:
        response = await _open(client, url, {}, opened)
        if response.status != HTTPStatus.OK:
            msg = f"upstream names {url} but answers {response.status} {response.reason}"
            raise FileMissing(msg)
        yield Download(response.content_length, _chunks(client, url, response, opened))


async def _open(
    client: Client, url: str, headers: Mapping[str, str], opened: AsyncExitStack
) -> aiohttp.ClientResponse:
    # Whatever the server compressed would no longer have the hash that the page promises.
    headers = {"Accept-Encoding": "identity", **headers}
    backoff = Backoff(client.clock)
    while True:
        try:
            return await opened.enter_async_context(client.open(url, headers=headers))
        except UpstreamUnavailable as error:
            await backoff.wait(error)


async def _chunks(
    client: Client, url: str, response: aiohttp.ClientResponse, opened: AsyncExitStack
) -> AsyncIterator[bytes]:
    etag = response.headers.get("ETag", "")
    # If-Range takes strong validators alone (RFC 9110, 13.1.5).
    unchanged = {"If-Range": etag} if etag and not etag.startswith("W/") else {}
    seen = skip = 0
    for _ in range(_RESUMES):
        try:
            async for chunk in response.content.iter_chunked(CHUNK):
                fresh = chunk[skip:]
                skip -= len(chunk) - len(fresh)
                seen += len(fresh)
                if fresh:
                    yield fresh
        except (aiohttp.ClientError, TimeoutError):
            await opened.aclose()
            response = await _open(client, url, {"Range": f"bytes={seen}-", **unchanged}, opened)
            skip = _bytes_to_skip(response, seen)
        else:
            return
    msg = f"{url} broke off {_RESUMES} times, the last time after {seen} bytes"
    raise DownloadInterrupted(msg)


def _bytes_to_skip(response: aiohttp.ClientResponse, seen: int) -> int:
    """Say how much of a resumed answer is known: all of it, where the server starts anew."""
    if response.status == HTTPStatus.OK:
        return seen
    begins = response.headers.get("Content-Range", "").partition("-")[0]
    if response.status == HTTPStatus.PARTIAL_CONTENT and begins == f"bytes {seen}":
        return 0
    msg = f"{response.url} cannot be resumed at byte {seen}: it answers {response.status}"
    raise DownloadInterrupted(msg)
