"""Download of a file from upstream, resumed whenever the connection breaks.

Yields the bytes as they were sent. Content-Encoding does not say whether they are the file: many
servers label a stored `.tar.gz` as `gzip`. Only its hash does.
"""

from __future__ import annotations

import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self

import aiohttp

from frumious.backoff import Backoff
from frumious.errors import FrumiousError, Reason, Retryable
from frumious.model.checksums import WrongBytes
from frumious.simple.values import valid_etag
from frumious.upstream.failures import Overloaded, TooSlow, UpstreamUnavailable
from frumious.upstream.pace import CHUNK
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from frumious.concurrency import FairSlots
    from frumious.upstream.client import Client

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


class Download(Value, frozen=True):
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


class ResumableDownload:
    """A file from upstream, and its bytes as they are sent: a context manager around a `Download`.

    Its connection is replaced whenever it breaks. `size` is what the file has, if that is known.
    The caller has one of the `slots`, whose number adapts to what upstream refuses.
    """

    def __init__(self, client: Client, slots: FairSlots, url: str, size: int | None) -> None:
        self._client = client
        self._slots = slots
        self._pace = client.pace(url)
        self._length = size
        self._if_range: dict[str, str] = {}
        self._received = 0
        self._skip: int | None = 0  # bytes that have been received before; None: there are no more
        self._response: aiohttp.ClientResponse
        self._opened_at = 0  # bytes that had been received
        self._reductions = 0  # of the slots, when the response was opened
        self._backoff = Backoff(client.clock)

    async def __aenter__(self) -> Download:
        """Open the file.

        Raises:
            FileMissing: upstream does not serve the file.
            DownloadTooSlow: its response trickles.
            UpstreamUnavailable: no attempt to connect succeeded.
            HostRefused: the URL or a redirect leads to a host that is not allowed.
        """
        response = await self._open({})
        if response.status != HTTPStatus.OK:
            response.release()
            status = f"{response.status} {response.reason}"
            msg = f"upstream's page lists {self._pace.url}, which returned the status {status}"
            raise FileMissing(msg)
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        encoding = "" if encoding == "identity" else encoding
        length = response.content_length
        if length is not None or encoding:
            self._length = length
        etag = valid_etag(response.headers.get("ETag", ""))
        # If-Range requires a strong validator (RFC 9110, 13.1.5).
        self._if_range = {"If-Range": etag} if etag and not etag.startswith("W/") else {}
        return Download(self._pace.url, length, encoding, self)

    async def __aexit__(self, *_: object) -> None:
        self._response.release()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Return the next bytes; resume after each break, as long as there is progress.

        Raises:
            DownloadInterrupted: the connection broke again and again without progress, or upstream
                is too slow.
            UpstreamUnavailable, HostRefused: the file could not be opened to resume it.
        """
        try:
            while self._skip is not None:
                try:
                    while chunk := await self._pace.read(self._response):
                        new = chunk[self._skip :]
                        self._skip -= len(chunk) - len(new)
                        if new:
                            self._received += len(new)
                            return new
                except (aiohttp.ClientError, TimeoutError):
                    is_complete = self._received == self._length
                else:
                    # Without Content-Length, a connection that breaks looks like the end.
                    is_complete = self._length is None or self._received >= self._length
                self._skip = None if is_complete else await self._resume()
        except TooSlow as error:
            raise DownloadTooSlow(str(error)) from error
        raise StopAsyncIteration

    async def _resume(self) -> int | None:
        """Open the file where it broke off, and return what `_bytes_to_skip` does."""
        self._slots.refused(self._reductions)
        if self._received > self._opened_at:
            self._backoff = Backoff(self._client.clock)
        with self._pace.waiting():
            self._response.release()
            msg = f"{self._pace.url} broke off after {self._received} bytes"
            await self._backoff.wait(DownloadInterrupted(msg))
            response = await self._open({"Range": f"bytes={self._received}-", **self._if_range})
        return _bytes_to_skip(response, self._received)

    async def _open(self, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        # Compressed content would not have the hash on the project page.
        headers = {"Accept-Encoding": "identity", **headers}
        backoff = Backoff(self._client.clock)
        while True:
            reductions = self._slots.reductions
            try:
                self._response = await self._client.send(
                    self._pace.url, headers=headers, auto_decompress=False
                )
            except TooSlow as error:
                raise DownloadTooSlow(str(error)) from error
            except UpstreamUnavailable as error:
                if isinstance(error, Overloaded):
                    self._slots.refused(reductions)
                await backoff.wait(error)
            else:
                self._slots.succeeded()
                self._opened_at, self._reductions = self._received, self._slots.reductions
                return self._response


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
