"""HTTP to upstream: allowed hosts, redirects, limits of time and size, retries.

Knows nothing about the resources that it requests.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import aiohttp

from frumious import __version__
from frumious.backoff import Backoff
from frumious.errors import FrumiousError, Reason, Retryable
from frumious.redaction import redact
from frumious.simple.values import resolve
from frumious.upstream.addresses import AddressPolicy, HostRefused, Resolver
from frumious.upstream.proxy import ProxyRouter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from frumious.clock import Clock
    from frumious.config.settings import Config

CHUNK: Final = 256 * 1024  # bytes; larger chunks save no time, smaller ones cost some

_MAX_DISCARDED = 256 * 1024  # bytes of an unwanted body; beyond, a new connection costs less
_MAX_RETRY_AFTER = 24 * 3600.0  # seconds
_MAX_REDIRECTS = 5
_TRANSIENT = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_REDIRECTS = frozenset(
    {
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)


class UpstreamUnavailable(Retryable):
    """Upstream did not respond, or with an error that may pass."""

    reason = Reason.UPSTREAM_UNAVAILABLE


class TooLarge(FrumiousError):
    """A response body that exceeds the limit of its kind."""

    reason = Reason.UPSTREAM_INVALID


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str  # after redirects

    def check_status(self) -> None:
        """Require the status 200.

        Raises:
            UpstreamUnavailable: it is another.
        """
        if self.status != HTTPStatus.OK:
            msg = f"{self.url} returned the status {self.status}"
            raise UpstreamUnavailable(msg)


class Client:
    """The HTTP sessions to upstream and its file host; kept for the life of the process."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self.clock = clock
        self.requests = 0
        self._policy = AddressPolicy(config)
        contact = f" ({config.contact})" if config.contact else ""
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._count)
        # `timeout` limits connecting and each read; `total` limits everything, also slow bodies.
        self._router = ProxyRouter(
            config.proxy,
            config.no_proxy,
            Resolver(config.public_hosts),
            headers={"User-Agent": f"frumious/{__version__}{contact}"},
            timeout=aiohttp.ClientTimeout(
                total=config.global_timeout, connect=config.timeout, sock_read=config.timeout
            ),
            read_bufsize=CHUNK,
            trace_configs=[trace],
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._router.close()

    async def fetch(
        self, url: str, *, limit: int, headers: Mapping[str, str], data: str | None = None
    ) -> Response:
        """Return a complete response with a body of at most `limit` bytes; `data` is posted.

        Raises:
            UpstreamUnavailable: no attempt succeeded.
            HostRefused: the URL or a redirect leads to a host that is not allowed.
            TooLarge: the body exceeds `limit`.
        """
        return await self._request(lambda response: _body(response, limit), url, headers, data)

    async def fetch_headers(self, url: str, *, headers: Mapping[str, str]) -> Response:
        """Return a response without its body.

        Sends GET, because some upstreams do not support HEAD, or send other headers with it.

        Raises:
            UpstreamUnavailable: no attempt succeeded.
            HostRefused: the URL or a redirect leads to a host that is not allowed.
        """
        return await self._request(_discard_body, url, headers)

    @asynccontextmanager
    async def open(
        self, url: str, *, headers: Mapping[str, str], data: str | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request once, and follow redirects to allowed hosts.

        The configured credentials are sent only to their own scheme, host and port, and no longer
        once a redirect has led elsewhere.

        Raises:
            UpstreamUnavailable: upstream did not respond, or with an error that may pass; also
                while the caller reads the response.
            HostRefused: the URL or a redirect leads to a host that is not allowed.
        """
        method = "GET" if data is None else "POST"
        try:
            target = self._policy.check(url)
            origin, login = target.origin(), self._policy.login(target)
            for _ in range(_MAX_REDIRECTS + 1):
                if target.origin() != origin:
                    login = {}
                async with self._router.session_for(url).request(
                    method,
                    target,
                    headers={**headers, **login},
                    data=data,
                    allow_redirects=False,
                ) as response:
                    if response.status in _TRANSIENT:
                        msg = f"{url} returned the status {response.status} {response.reason}"
                        raise UpstreamUnavailable(msg, retry_after=_retry_after(response))
                    if response.status not in _REDIRECTS:
                        yield response
                        return
                    url = _location(response, url)
                target = self._policy.check(url)
        except aiohttp.InvalidURL:
            msg = f"{redact(url)!r:.300} is not a valid URL"
            raise HostRefused(msg) from None
        except self._router.errors as error:
            # Cut, because errors of the HTTP parser quote what they could not parse.
            text = redact(str(error)) or type(error).__name__
            msg = f"cannot read {url}: {text:.200}"
            raise UpstreamUnavailable(msg) from None  # the cause may quote a password
        msg = f"more than {_MAX_REDIRECTS} redirects, the last one to {url}"
        raise UpstreamUnavailable(msg)

    async def _request(
        self,
        read_body: Callable[[aiohttp.ClientResponse], Awaitable[bytes]],
        url: str,
        headers: Mapping[str, str],
        data: str | None = None,
    ) -> Response:
        """Send a request, with retries, and read the response with `read_body`."""
        backoff = Backoff(self.clock)
        while True:
            try:
                async with self.open(url, headers=headers, data=data) as response:
                    body = await read_body(response)
                    return Response(response.status, response.headers, body, str(response.url))
            except UpstreamUnavailable as error:
                await backoff.wait(error)

    async def _count(self, *_: object) -> None:
        self.requests += 1


async def _body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read and decompress a body of at most `limit` bytes."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK):
        body += chunk
        if len(body) > limit:
            msg = f"{response.url} sent more than {limit} bytes"
            raise TooLarge(msg)
    return bytes(body)


async def _discard_body(response: aiohttp.ClientResponse) -> bytes:
    """Read a short body to its end, so that the connection can be reused."""
    received = 0
    async for chunk in response.content.iter_chunked(CHUNK):
        received += len(chunk)
        if received > _MAX_DISCARDED:
            break
    return b""


def _location(response: aiohttp.ClientResponse, url: str) -> str:
    location = response.headers.get("Location", "")
    try:
        resolved = resolve(url, location)
        urlsplit(resolved)
    except ValueError as error:
        msg = f"{url} redirects to {redact(location)!r:.120}, which is not a valid URL"
        raise UpstreamUnavailable(msg) from error
    return resolved


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Parse Retry-After (RFC 9110, 10.2.3): seconds, or a date."""
    value = response.headers.get("Retry-After", "")
    if value.isdecimal():
        return min(float(value), _MAX_RETRY_AFTER)
    try:
        seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0), _MAX_RETRY_AFTER)
