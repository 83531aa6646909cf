"""Download of a file from upstream, resumed when the connection breaks."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp

from frumious.backoff import Backoff
from frumious.errors import FrumiousError, Reason
from frumious.upstream.client import CHUNK, Client, UpstreamUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

_MAX_ATTEMPTS = 5


class FileMissing(FrumiousError):
    """Upstream lists a file but does not serve it."""

    reason = Reason.FILE_MISSING


class DownloadInterrupted(FrumiousError):
    """A download could not be completed or resumed."""

    reason = Reason.UPSTREAM_UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Download:
    """An open download."""

    size: int | None  # bytes, from Content-Length
    chunks: AsyncIterator[bytes]


@asynccontextmanager
async def download(client: Client, url: str) -> AsyncIterator[Download]:
    """Open a file and stream its bytes.

    Raises:
        FileMissing: upstream does not serve the file.
        UpstreamUnavailable: no attempt to connect succeeded; also while reading.
        DownloadInterrupted: while reading; the connection broke too often.
        HostRefused: the URL or a redirect leads to a host that is not allowed.
    """
    async with AsyncExitStack() as stack:
        response = await _open(client, url, {}, stack)
        if response.status != HTTPStatus.OK:
            status = f"{response.status} {response.reason}"
            msg = f"upstream's page lists {url}, which returned the status {status}"
            raise FileMissing(msg)
        yield Download(response.content_length, _chunks(client, url, response, stack))


async def _open(
    client: Client, url: str, headers: Mapping[str, str], stack: AsyncExitStack
) -> aiohttp.ClientResponse:
    # Compressed content would not have the hash on the project page.
    headers = {"Accept-Encoding": "identity", **headers}
    backoff = Backoff(client.clock)
    while True:
        try:
            return await stack.enter_async_context(client.open(url, headers=headers))
        except UpstreamUnavailable as error:
            await backoff.wait(error)


async def _chunks(
    client: Client, url: str, response: aiohttp.ClientResponse, stack: AsyncExitStack
) -> AsyncIterator[bytes]:
    etag = response.headers.get("ETag", "")
    # If-Range requires a strong validator (RFC 9110, 13.1.5).
    if_range = {"If-Range": etag} if etag and not etag.startswith("W/") else {}
    received = skip = 0
    for _ in range(_MAX_ATTEMPTS):
        try:
            async for chunk in response.content.iter_chunked(CHUNK):
                new = chunk[skip:]
                skip -= len(chunk) - len(new)
                received += len(new)
                if new:
                    yield new
        except (aiohttp.ClientError, TimeoutError):
            await stack.aclose()
            response = await _open(client, url, {"Range": f"bytes={received}-", **if_range}, stack)
            skip = _bytes_to_skip(response, received)
        else:
            return
    msg = f"{url} broke off {_MAX_ATTEMPTS} times, the last time after {received} bytes"
    raise DownloadInterrupted(msg)


def _bytes_to_skip(response: aiohttp.ClientResponse, received: int) -> int:
    """Return how many bytes of a resumed response are known: all, if the server starts over."""
    if response.status == HTTPStatus.OK:
        return received
    start = response.headers.get("Content-Range", "").partition("-")[0]
    if response.status == HTTPStatus.PARTIAL_CONTENT and start == f"bytes {received}":
        return 0
    msg = f"cannot resume {response.url} at byte {received}: status {response.status}"
    raise DownloadInterrupted(msg)
