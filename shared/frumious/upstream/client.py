"""HTTP to upstream: allowed hosts, redirects, limits, and retries that fit the fault.

Knows nothing of what is asked for. Whatever upstream sends stays below the limits given here.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

import aiohttp

from frumious import __version__
from frumious.backoff import Backoff
from frumious.errors import FrumiousError, Retryable
from frumious.upstream.proxy import ProxyRouter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from frumious.clock import Clock
    from frumious.config.settings import Config

CHUNK: Final = 256 * 1024  # bytes; larger chunks save no time, smaller ones cost some

_WORTH_READING = 256 * 1024  # bytes; beyond, a new connection costs less
_LONGEST_ASKED = 24 * 3600.0  # seconds; no Retry-After counts for more
_REDIRECTS = 5
_PASSING = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_MOVED = frozenset(
    {
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)


class UpstreamUnavailable(Retryable):
    """Upstream did not answer, or not with something of use, this time."""


class HostRefused(FrumiousError):
    """An address that leads to a host which the configuration does not allow."""


class TooLarge(FrumiousError):
    """An answer that is larger than anything of its kind."""


@dataclass(frozen=True, slots=True)
class Response:
    """What upstream said, as a whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str  # that finally answered


class Client:
    """The sessions to upstream and its file host, kept for as long as the process lives."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self.clock = clock
        self.requests = 0
        self._hosts = config.allowed_hosts
        self._insecure = config.allow_non_https
        contact = f" ({config.contact})" if config.contact else ""
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._count)
        self._route = ProxyRouter(
            config.proxy,
            config.no_proxy,
            headers={"User-Agent": f"frumious/{__version__}{contact}"},
            timeout=aiohttp.ClientTimeout(
                total=config.global_timeout, connect=config.timeout, sock_read=config.timeout
            ),
            read_bufsize=CHUNK,
            trace_configs=[trace],
        )

    async def close(self) -> None:
        """Close the session's connections."""
        await self._route.close()

    async def fetch(
        self, url: str, *, limit: int, headers: Mapping[str, str], data: str | None = None
    ) -> Response:
        """Get a whole answer of at most `limit` bytes; with `data` it is posted.

        Raises:
            UpstreamUnavailable: upstream did not answer, however often it was asked.
            HostRefused: the address, or a redirect, leads to a host that is not allowed.
            TooLarge: the answer is.
        """
        backoff = Backoff(self.clock)
        while True:
            try:
                async with self.open(url, headers=headers, data=data) as response:
                    body = await _body(response, limit)
                    return Response(response.status, response.headers, body, str(response.url))
            except UpstreamUnavailable as error:
                await backoff.wait(error)

    async def ask(self, url: str, *, headers: Mapping[str, str]) -> Response:
        """Get an answer's status and headers; its body is not kept.

        A GET, as not every upstream answers HEAD with the same headers, or at all.

        Raises:
            UpstreamUnavailable: upstream did not answer, however often it was asked.
            HostRefused: the address, or a redirect, leads to a host that is not allowed.
        """
        backoff = Backoff(self.clock)
        while True:
            try:
                async with self.open(url, headers=headers) as response:
                    seen = 0  # what is short is read, so that the connection can be used again
                    async for chunk in response.content.iter_chunked(CHUNK):
                        seen += len(chunk)
                        if seen > _WORTH_READING:
                            break
                    return Response(response.status, response.headers, b"", str(response.url))
            except UpstreamUnavailable as error:
                await backoff.wait(error)

    @asynccontextmanager
    async def open(
        self, url: str, *, headers: Mapping[str, str], data: str | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open an address once, following redirects to allowed hosts alone.

        Raises:
            UpstreamUnavailable: upstream did not answer, or said that it cannot for now; also
                while the answer is read.
            HostRefused: the address, or a redirect, leads to a host that is not allowed.
        """
        method = "GET" if data is None else "POST"
        try:
            for _ in range(_REDIRECTS + 1):
                self._check_host(url)
                async with self._route.to(url).request(
                    method, url, headers=headers, data=data, allow_redirects=False
                ) as response:
                    if response.status in _PASSING:
                        msg = f"{url} answers {response.status} {response.reason}"
                        raise UpstreamUnavailable(msg, retry_after=_retry_after(response))
                    if response.status not in _MOVED:
                        yield response
                        return
                    url = _location(response, url)
        except aiohttp.InvalidURL as error:
            msg = f"{url!r:.300} is no address"
            raise HostRefused(msg) from error
        except self._route.errors as error:
            # What an HTTP parser complains of it also quotes.
            msg = f"{url} cannot be read: {(str(error) or type(error).__name__):.200}"
            raise UpstreamUnavailable(msg) from error
        msg = f"{url} is reached by more than {_REDIRECTS} redirects"
        raise UpstreamUnavailable(msg)

    def _check_host(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"https", "http"}:
            msg = f"{url} is neither https nor http"
        elif parts.scheme == "http" and not self._insecure:
            msg = f"{url} is not https, and allow-non-https is not set"
        elif parts.hostname not in self._hosts:
            msg = f"{url} leads to a host that is not upstream's: name it in allowed-hosts if it is"
        else:
            return
        raise HostRefused(msg)

    async def _count(self, *_: object) -> None:
        self.requests += 1


async def _body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read an answer, unpacked, up to its limit."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK):
        body += chunk
        if len(body) > limit:
            msg = f"{response.url} sends more than {limit} bytes"
            raise TooLarge(msg)
    return bytes(body)


def _location(response: aiohttp.ClientResponse, url: str) -> str:
    said = response.headers.get("Location", "")
    try:
        return urljoin(url, said)
    except ValueError as error:
        msg = f"{url} redirects to {said!r:.120}, which is no address"
        raise UpstreamUnavailable(msg) from error


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Read Retry-After (RFC 9110, 10.2.3): seconds, or a date."""
    said = response.headers.get("Retry-After", "")
    if said.isdecimal():
        return min(float(said), _LONGEST_ASKED)
    try:
        seconds = (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0), _LONGEST_ASKED)
