"""A PUT that sends a file as it arrives, for S3 and for Swift, or a small body as a whole.

It holds nothing in memory but the current chunk, and ends as soon as the server responds, the
connection breaks, or no byte has moved for the timeout.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

import aiohttp
from aiohttp.payload import AsyncIterablePayload
from yarl import URL

from frumious.model.checksums import WrongBytes
from frumious.storage.protocol import RESPONSE_TIMEOUTS, StorageUnavailable
from frumious.value import Value

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import StreamWriter

_PIECE: Final = 64 * 1024  # bytes that must be sent within the timeout
_CONNECTIONS: Final = 256  # more than `downloads` can be: who waits for one is given up


class PutResponse(Value, frozen=True):
    """The server's response."""

    status: int
    headers: Mapping[str, str]  # names in any case
    text: str


class PutClient:
    """Sends PUTs to one server over one session. Times are seconds."""

    def __init__(
        self,
        server: str,  # as error messages name it
        *,
        timeout: float,
        global_timeout: float,
        tls: ssl.SSLContext | bool = True,
        trust_env: bool = False,
    ) -> None:
        self._server = server
        self._timeout = timeout
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(
                total=global_timeout, connect=timeout, sock_read=RESPONSE_TIMEOUTS * timeout
            ),
            connector=aiohttp.TCPConnector(ssl=tls, limit=_CONNECTIONS),
            trust_env=trust_env,
        )

    async def aclose(self) -> None:
        """Close the session's connections."""
        await self._session.close()

    async def put(  # noqa: PLR0913 (a request)
        self,
        url: str,
        chunks: AsyncIterator[bytes],
        headers: Mapping[str, str],
        *,
        size: int | None,
        name: str,
        proxy: str | None = None,
    ) -> PutResponse:
        """Send the chunks, which have `size` bytes unless that is None; follow no redirect.

        Error messages contain `name`. Errors of `chunks` are raised here. Nothing reads from it
        after this method has returned or raised.

        Raises:
            WrongBytes: `chunks` has fewer bytes than `size`, or more.
            StorageUnavailable: the server did not respond, or too early.
        """
        body = _Body(chunks, size, self._timeout)
        is_finished = False
        try:
            response = await self.put_whole(url, body, headers, name=name, proxy=proxy)
            is_finished = body.is_complete
        except StorageUnavailable:
            if body.error is not None:
                raise body.error from None
            raise
        finally:
            await body.stopped.wait()
            if not is_finished:
                body.abort()
        if body.error is not None:
            raise body.error
        if response.status < HTTPStatus.MULTIPLE_CHOICES and not body.is_complete:
            msg = f"{self._server} responds {response.status} before it has received all of {name}"
            raise StorageUnavailable(msg)
        return response

    async def put_whole(
        self,
        url: str,
        body: bytes | _Body,
        headers: Mapping[str, str],
        *,
        name: str,
        proxy: str | None = None,
    ) -> PutResponse:
        """Send a body in one request; follow no redirect.

        Raises:
            StorageUnavailable: the server did not respond.
        """
        try:
            async with self._session.put(
                URL(url, encoded=True),
                headers=headers,
                data=body,
                proxy=proxy,
                allow_redirects=False,
            ) as response:
                text = await _read_text(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            msg = f"{self._server} did not accept {name}: {str(error) or 'timeout'}"
            raise StorageUnavailable(msg) from error
        return PutResponse(response.status, response.headers, text)


class _Body(AsyncIterablePayload):
    """The body of one request.

    `error` is the error of the chunks, which aiohttp wraps in its own. When a request is over,
    aiohttp cancels the task that writes, but may not wait for it; its end sets `stopped`.
    """

    consumed = True  # it cannot be sent twice

    def __init__(self, chunks: AsyncIterator[bytes], size: int | None, timeout: float) -> None:
        super().__init__(chunks)
        self.error: Exception | None = None
        self.stopped = asyncio.Event()
        self.stopped.set()
        self._chunks = chunks
        self._expected_size = size
        self._timeout = timeout
        self._sent = 0
        self._ended = False
        self._transport: asyncio.Transport | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all bytes were sent; the end of the chunks may still be pending."""
        return self._ended or self._sent == self._expected_size

    def abort(self) -> None:
        """Abort the connection; a close would wait until the server has read what was written."""
        if self._transport is not None:
            self._transport.abort()

    async def write_with_length(
        self,
        writer: AbstractStreamWriter,
        content_length: int | None,  # noqa: ARG002 (`_next` checks the size)
    ) -> None:
        self.stopped.clear()
        self._transport = cast("StreamWriter", writer).transport
        try:
            while (chunk := await self._next()) is not None:
                for start in range(0, len(chunk), _PIECE):
                    async with asyncio.timeout(self._timeout):
                        await writer.write(chunk[start : start + _PIECE])
                        await writer.drain()
                self._sent += len(chunk)
            self._ended = True
        finally:
            self.stopped.set()

    async def _next(self) -> bytes | None:
        try:
            chunk = await anext(self._chunks, None)
            size, received = self._expected_size, self._sent + len(chunk or b"")
            if size is not None and (received > size or (chunk is None and received < size)):
                msg = f"{received} bytes have arrived instead of the expected {size}"
                raise WrongBytes(msg)  # noqa: TRY301 (it is kept like the others)
        except Exception as error:
            self.error = error
            raise
        return chunk


async def _read_text(response: aiohttp.ClientResponse) -> str:
    try:
        return await response.text(errors="replace")
    except (aiohttp.ClientError, TimeoutError):
        return ""  # the status says enough
