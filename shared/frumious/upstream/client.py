"""HTTP to upstream: allowed hosts, redirects, limits of time, speed and size, retries.

Knows nothing about the resources that it requests.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp

from frumious import __version__
from frumious.backoff import Backoff
from frumious.redaction import redact
from frumious.simple.values import resolve
from frumious.upstream.addresses import AddressPolicy, HostRefused, Origin, Resolver
from frumious.upstream.failures import Overloaded, TooLarge, TooSlow, UpstreamUnavailable
from frumious.upstream.large_pages import LARGE
from frumious.upstream.pace import CHUNK, Pace, arriving
from frumious.upstream.proxy import ProxyRouter, explain_error
from frumious.upstream.rate_limit import requested_pause
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from frumious.clock import Clock
    from frumious.config.settings import Config
    from frumious.upstream.large_pages import PageRoom

_MAX_DISCARDED = 256 * 1024  # bytes of an unwanted body; beyond, a new connection costs less
_MAX_QUOTA_PAUSE = 30.0  # seconds; a server may say at each request that nothing remains
_MAX_REDIRECTS = 5
_SPEED_WINDOW = 3  # times `timeout`, over which the speed of a response is measured
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
_OVERLOADED = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_REDIRECTS = frozenset(
    {
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)


class Response(Value, frozen=True):
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
        self._quota_resets: dict[Origin, float] = {}  # when, by the monotonic clock
        self._config = config
        self._policy = AddressPolicy(config)
        self._window = _SPEED_WINDOW * config.timeout
        contact = f" ({config.contact})" if config.contact else ""
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
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._router.close()

    async def fetch(
        self,
        url: str,
        *,
        limit: int,
        headers: Mapping[str, str],
        data: str | None = None,
        room: PageRoom | None = None,
    ) -> Response:
        """Return a complete response with a body of at most `limit` bytes; `data` is posted.

        The rest of a large body is read when there is `room` for it.

        Raises:
            UpstreamUnavailable: no attempt succeeded.
            HostRefused: the URL or a redirect leads to a host that is not allowed.
            TooLarge: the body exceeds `limit`.
        """
        return await self._request(
            lambda chunks: _body(chunks, limit, url, room), url, headers, data
        )

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
        """Send a request as `send` does, and release the response in the end.

        Raises:
            UpstreamUnavailable, HostRefused: as from `send`; also while the caller reads the
                response.
        """
        response = await self.send(url, headers=headers, data=data)
        try:
            yield response
        except self._router.errors as error:
            raise _failure(str(response.url), error) from None
        finally:
            response.release()

    async def send(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        data: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> aiohttp.ClientResponse:
        """Send a request once, and follow redirects to allowed hosts.

        Each request waits for the quota of its server, if that is used up.

        The caller releases the response. `options` are those of aiohttp's requests.

        The configured credentials are sent only to their own scheme, host and port, and no longer
        once a redirect has led elsewhere.

        Raises:
            UpstreamUnavailable: upstream did not respond, or with an error that may pass.
            TooSlow: the head of its response trickles.
            HostRefused: the URL or a redirect leads to a host that is not allowed.
        """
        method = "GET" if data is None else "POST"
        try:
            target = self._policy.check(url)
            origin, login = Origin.of(target), self._policy.login(target)
            first = origin
            for _ in range(_MAX_REDIRECTS + 1):
                await self._wait_for_quota(origin)
                self.requests += 1
                async with arriving(url, self._window):
                    response = await self._router.session_for(url).request(
                        method,
                        target,
                        headers={**headers, **login},
                        data=data,
                        allow_redirects=False,
                        **options,
                    )
                status = response.status
                self._note_quota(origin, response)
                if status not in _TRANSIENT and status not in _REDIRECTS:
                    return response
                response.release()
                if status in _TRANSIENT:
                    msg = f"{url} returned the status {status} {response.reason}"
                    pause = self._pause(response, refused=True)
                    kind = Overloaded if status in _OVERLOADED else UpstreamUnavailable
                    raise kind(msg, retry_after=pause)
                url = _location(response, url)
                target = self._policy.check(url)
                origin = Origin.of(target)
                if origin != first:
                    login = {}
        except aiohttp.InvalidURL:
            msg = f"{redact(url)!r:.300} is not a valid URL"
            raise HostRefused(msg) from None
        except self._router.errors as error:
            raise _failure(url, error) from None  # the cause may quote a password
        msg = f"more than {_MAX_REDIRECTS} redirects, the last one to {url}"
        raise UpstreamUnavailable(msg)

    async def _request(
        self,
        read_body: Callable[[AsyncIterator[bytes]], Awaitable[bytes]],
        url: str,
        headers: Mapping[str, str],
        data: str | None = None,
    ) -> Response:
        """Send a request, with retries, and read the response with `read_body`."""
        backoff = Backoff(self.clock)
        while True:
            try:
                async with self.open(url, headers=headers, data=data) as response:
                    body = await read_body(self.pace(url).chunks(response))
                    return Response(response.status, response.headers, body, str(response.url))
            except TooSlow:
                raise
            except UpstreamUnavailable as error:
                await backoff.wait(error)

    async def _wait_for_quota(self, origin: Origin) -> None:
        """Wait until the quota of a server is reset, if a response said that it is used up."""
        if (pause := self._quota_resets.get(origin, 0.0) - self.clock.monotonic()) > 0:
            await self.clock.sleep(pause)

    def _note_quota(self, origin: Origin, response: aiohttp.ClientResponse) -> None:
        """Note when a quota that is used up is reset; other responses may have been sent before."""
        if pause := self._pause(response, refused=False):
            resets = self.clock.monotonic() + min(pause, _MAX_QUOTA_PAUSE)
            self._quota_resets[origin] = max(resets, self._quota_resets.get(origin, 0.0))

    def _pause(self, response: aiohttp.ClientResponse, *, refused: bool) -> float | None:
        return requested_pause(response.headers, self.clock.now(), refused=refused)

    def pace(self, url: str) -> Pace:
        """Return what limits the time of a response, or of several with parts of one file."""
        config = self._config
        return Pace(url, self.clock, self._window, config.lowest_speed, config.global_timeout)


async def _body(chunks: AsyncIterator[bytes], limit: int, url: str, room: PageRoom | None) -> bytes:
    """Read a body of at most `limit` bytes."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            msg = f"{url} sent more than {limit} bytes"
            raise TooLarge(msg)
        if room is not None and len(body) > LARGE:
            await room.begin()
    return bytes(body)


async def _discard_body(chunks: AsyncIterator[bytes]) -> bytes:
    """Read a short body to its end, so that the connection can be reused."""
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        if received > _MAX_DISCARDED:
            break
    return b""


def _failure(url: str, error: Exception) -> UpstreamUnavailable:
    # Cut, because errors of the HTTP parser quote what they could not parse.
    msg = f"cannot read {url}: {redact(explain_error(error)):.200}"
    is_refusal = isinstance(error, (aiohttp.ClientConnectionError, TimeoutError))
    return (Overloaded if is_refusal else UpstreamUnavailable)(msg)


def _location(response: aiohttp.ClientResponse, url: str) -> str:
    location = response.headers.get("Location", "")
    try:
        resolved = resolve(url, location)
        urlsplit(resolved)
    except ValueError as error:
        msg = f"{url} redirects to {redact(location)!r:.120}, which is not a valid URL"
        raise UpstreamUnavailable(msg) from error
    return resolved
