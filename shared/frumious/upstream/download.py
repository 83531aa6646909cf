"""Download of a file from upstream, resumed whenever the connection breaks.

Yields the bytes as they were sent. Content-Encoding does not say whether they are the file: many
servers label a stored `.tar.gz` as `gzip`. Only its hash does.
"""

from __future__ import annotations

import zlib
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp

from frumious.backoff import Backoff
from frumious.errors import FrumiousError, Reason, Retryable
from frumious.model.checksums import WrongBytes
from frumious.simple.values import valid_etag
from frumious.upstream.client import CHUNK, Client, Overloaded, Pace, TooSlow, UpstreamUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from frumious.concurrency import FairSlots

# Content-Encoding -> wbits of zlib. "deflate" has a header of zlib's, or none.
_WBITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_WBITS_RAW: Final = -15
_METHOD_OF_ZLIB: Final = 8  # low bits of the header's first byte


class FileMissing(FrumiousError):
    """Upstream lists a file but does not serve it."""

    reason = Reason.FILE_MISSING


class DownloadInterrupted(Retryable):
    """A download could not be completed or resumed."""

    reason = Reason.UPSTREAM_UNAVAILABLE


class DownloadTooSlow(DownloadInterrupted):
    """Upstream sent a file too slowly."""


@dataclass(frozen=True, slots=True)
class Download:
    """An open download."""

    url: str
    length: int | None  # bytes that are sent, from Content-Length
    encoding: str  # Content-Encoding; "" for none
    chunks: AsyncIterator[bytes]  # as they are sent

    async def decoded(self) -> AsyncIterator[bytes]:
        """Yield the decompressed bytes; as they are sent, if the encoding is unknown.

        Raises:
            WrongBytes: they are not compressed as Content-Encoding says.
        """
        decompressor: zlib._Decompress | None = None
        try:
            async for chunk in self.chunks:
                if not self.can_decode:
                    yield chunk
                    continue
                if decompressor is None:
                    has_header = self.encoding != "deflate" or chunk[0] & 0x0F == _METHOD_OF_ZLIB
                    wbits = _WBITS[self.encoding] if has_header else _WBITS_RAW
                    decompressor = zlib.decompressobj(wbits)
                compressed = chunk
                while compressed:
                    if piece := decompressor.decompress(compressed, CHUNK):
                        yield piece
                    compressed = decompressor.unconsumed_tail
            if decompressor is not None and (rest := decompressor.flush()):
                yield rest
        except zlib.error as error:
            msg = f"{self.url} is not in its Content-Encoding {self.encoding!r}: {error}"
            raise WrongBytes(msg) from error

    @property
    def can_decode(self) -> bool:
        """Whether `decoded` knows the encoding."""
        return self.encoding in _WBITS


@asynccontextmanager
async def download(
    client: Client, slots: FairSlots, url: str, size: int | None
) -> AsyncIterator[Download]:
    """Open a file and stream its bytes, `size` of them if that is known.

    The caller has one of the `slots`, whose number adapts to what upstream refuses.

    Raises:
        FileMissing: upstream does not serve the file.
        UpstreamUnavailable: no attempt to connect succeeded; also while reading.
        DownloadInterrupted: while reading; the connection broke again and again without progress,
            or upstream is too slow.
        HostRefused: the URL or a redirect leads to a host that is not allowed.
    """
    pace = client.pace(url)
    async with AsyncExitStack() as stack:
        response = await _open(client, slots, url, {}, stack)
        if response.status != HTTPStatus.OK:
            status = f"{response.status} {response.reason}"
            msg = f"upstream's page lists {url}, which returned the status {status}"
            raise FileMissing(msg)
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        encoding = "" if encoding == "identity" else encoding
        length = response.content_length
        if length is None and not encoding:
            length = size
        chunks = _chunks(client, slots, pace, length, response, stack)
        yield Download(url, response.content_length, encoding, chunks)


async def _open(
    client: Client, slots: FairSlots, url: str, headers: Mapping[str, str], stack: AsyncExitStack
) -> aiohttp.ClientResponse:
    # Compressed content would not have the hash on the project page.
    headers = {"Accept-Encoding": "identity", **headers}
    backoff = Backoff(client.clock)
    while True:
        reductions = slots.reductions
        try:
            response = await stack.enter_async_context(
                client.open(url, headers=headers, auto_decompress=False)
            )
        except UpstreamUnavailable as error:
            if isinstance(error, Overloaded):
                slots.refused(reductions)
            await backoff.wait(error)
        else:
            slots.succeeded()
            return response


async def _chunks(  # noqa: PLR0913, PLR0917 (a download)
    client: Client,
    slots: FairSlots,
    pace: Pace,
    length: int | None,
    response: aiohttp.ClientResponse,
    stack: AsyncExitStack,
) -> AsyncIterator[bytes]:
    """Yield the bytes; resume after each break, as long as there is progress."""
    etag = valid_etag(response.headers.get("ETag", ""))
    # If-Range requires a strong validator (RFC 9110, 13.1.5).
    if_range = {"If-Range": etag} if etag and not etag.startswith("W/") else {}
    received = 0
    skip: int | None = 0
    backoff = Backoff(client.clock)
    try:
        while skip is not None:
            before, reductions = received, slots.reductions
            try:
                async for chunk in pace.chunks(response):
                    new = chunk[skip:]
                    skip -= len(chunk) - len(new)
                    received += len(new)
                    if new:
                        yield new
            except (aiohttp.ClientError, TimeoutError):
                is_complete = received == length
            else:
                # Without Content-Length, a connection that breaks looks like the end.
                is_complete = length is None or received >= length
            if is_complete:
                return
            slots.refused(reductions)
            if received > before:
                backoff = Backoff(client.clock)
            with pace.waiting():
                await stack.aclose()
                msg = f"{pace.url} broke off after {received} bytes"
                await backoff.wait(DownloadInterrupted(msg))
                headers = {"Range": f"bytes={received}-", **if_range}
                response = await _open(client, slots, pace.url, headers, stack)
            skip = _bytes_to_skip(response, received)
    except TooSlow as error:
        raise DownloadTooSlow(str(error)) from error


def _bytes_to_skip(response: aiohttp.ClientResponse, received: int) -> int | None:
    """Return how many bytes of a resumed response are known: all, if the server starts over.

    Returns None if the file has no more bytes.
    """
    if response.status == HTTPStatus.OK:
        return received
    content_range = response.headers.get("Content-Range", "").strip().lower()
    match response.status, content_range.partition("-")[0]:
        case HTTPStatus.PARTIAL_CONTENT, start if start == f"bytes {received}":
            return 0
        case HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, size if size == f"bytes */{received}":
            return None
    msg = (
        f"cannot resume {response.url} at byte {received}: status {response.status},"
        f" Content-Range {content_range!r:.80}"
    )
    raise DownloadInterrupted(msg)
