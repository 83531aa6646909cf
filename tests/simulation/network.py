"""The network to the fake upstream, as one process sees it: aiohttp's session without sockets."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

import aiohttp
from multidict import CIMultiDict

from frumious.clock import Clock
from frumious.upstream import client
from frumious.upstream.client import Client
from frumious.upstream.upstream import Upstream
from tests.simulation.lies import INDEX_LIES, LIES, IndexLie, Liar
from tests.upstream.actions import Rpc, WrongBytes
from tests.upstream.messages import Request, Response
from tests.upstream.pages import Addresses
from tests.upstream.rpc import called_method
from tests.upstream.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from yarl import URL

    from frumious.config.settings import Config
    from tests.simulation.process import Process
    from tests.upstream.index import Index
    from tests.upstream.pages import Page

MASTER = "https://upstream.example"


class NetworkFault(IntEnum):
    """What can be wrong with a request upstream."""

    NONE = 0
    UNAVAILABLE = 1  # status 503
    RESET = 2  # no response
    TRUNCATED = 3
    WRONG_BYTES = 4
    MISSING = 5  # status 404
    STALE = 6  # as it was some changes ago
    FORBIDDEN = 7  # status 403
    LOGIN_PAGE = 8
    SLOW = 9  # for an hour


_STATUSES = {NetworkFault.UNAVAILABLE: 503, NetworkFault.MISSING: 404, NetworkFault.FORBIDDEN: 403}
_NO_CHANGELOG = frozenset({NetworkFault.MISSING, NetworkFault.FORBIDDEN})
_SERIAL = "X-PyPI-Last-Serial"
_STALE = 3  # serials
_SLOW = 3600.0  # seconds


class Network:
    """Upstream, for all processes."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._addresses = Addresses(MASTER, MASTER)
        self.site = Site(index, self._addresses, split=False)
        self._lies: dict[str, tuple[Callable[[Page], None], float]] = {}  # and until when
        self._lie_about_all: tuple[IndexLie, float] = IndexLie(), 0.0
        self.has_changelog = True
        self.hid_changelog = False  # whether it ever seemed to have none
        self._kept: dict[str, tuple[int, float]] = {}  # project -> serial, and until when

    def keep(self, project: str, serial: int, until: float) -> None:
        """Let caches have a project's page as of a serial."""
        self._kept[project] = serial, until

    def lie(self, project: str, lie: str, other: str, until: float) -> None:
        """Lie about a project's page."""
        liar = Liar(self.index, self._addresses, other)
        self._lies[project] = partial(LIES[lie], liar), until

    def lie_about_all(self, lie: str, project: str, until: float) -> None:
        """Lie in the changelog or the root index."""
        self._lie_about_all = INDEX_LIES[lie](project), until

    def respond(self, request: Request, fault: NetworkFault, now: float) -> Response:
        """Return the response to a request."""
        serial, until = self._kept.get(request.project or "", (0, 0.0))
        if now < until and request.path.startswith("/simple/"):
            request = replace(request, at=serial)
        edit, until = self._lies.get(request.project or "", (None, 0.0))
        if now < until and request.path.startswith("/simple/"):
            request = replace(request, edit=edit)
        lie, until = self._lie_about_all
        deceives = now < until
        if deceives and request.path == "/simple/":
            request = replace(request, edit=lie.root)
        if request.rpc is not None and (fault in _NO_CHANGELOG or not self.has_changelog):
            self.hid_changelog = True
            fault = fault if fault in _NO_CHANGELOG else NetworkFault.MISSING
        if fault is NetworkFault.STALE:
            request = replace(request, at=self.index.serial - _STALE)
        if (status := _STATUSES.get(fault)) is not None:
            return Response.plain(status)
        if fault is NetworkFault.LOGIN_PAGE:
            return Response.of(b"<!DOCTYPE html><p>Log in</p>", "text/html")
        response = self.site.respond(request)
        if deceives:
            response = _deceived(response, request, lie)
        if fault is NetworkFault.WRONG_BYTES:
            return WrongBytes().rewrite_response(response, request)
        return response


def _deceived(response: Response, request: Request, lie: IndexLie) -> Response:
    if lie.serial is not None:
        response = Rpc("changelog_last_serial", lie.serial).rewrite_response(response, request)
    if lie.header is not None and request.path == "/simple/" and _SERIAL in response.headers:
        serial = str(lie.header(int(response.headers[_SERIAL])))
        response = replace(response, headers={**response.headers, _SERIAL: serial})
    if lie.rows is not None:
        response = Rpc("changelog_since_serial", lie.rows).rewrite_response(response, request)
    return response


class _Received(NamedTuple):
    """What the client uses of aiohttp's ClientResponse."""

    status: int
    headers: Mapping[str, str]
    url: URL
    content: _Content
    content_length: int | None
    reason: str = ""

    def release(self) -> None:
        """There is no connection."""


class _Content(NamedTuple):
    chunks: deque[bytes]
    breaks_off: bool

    async def read(self, _: int) -> bytes:
        if self.chunks:
            return self.chunks.popleft()
        if self.breaks_off:
            msg = "the connection was closed"
            raise aiohttp.ClientPayloadError(msg)
        return b""


class _Session:
    """The session of one process."""

    def __init__(self, network: Network, process: Process) -> None:
        self._network = network
        self._process = process

    async def request(
        self,
        method: str,
        target: URL,
        *,
        headers: Mapping[str, str],
        data: str | None,
        **_: Any,
    ) -> _Received:
        process, network = self._process, self._network
        process.upstream_requests += 1
        number = process.fate.network.get(process.upstream_requests)
        fault = NetworkFault(number) if number else NetworkFault.NONE
        path, body = target.path, (data or "").encode()
        if fault:
            process.log(f"upstream: {fault.name.lower()} ({method} {path})")
        if fault is NetworkFault.SLOW:
            await process.clock.sleep(_SLOW)
        if fault is NetworkFault.RESET:
            msg = "the connection was reset"
            raise aiohttp.ClientConnectionError(msg)
        request = Request(
            method,
            path,
            {name.lower(): value for name, value in headers.items()},
            body,
            "index",
            network.site.project_of(path),
            called_method(body) if body else None,
        )
        response = await process.request(
            "requests", path, lambda: network.respond(request, fault, process.loop.elapsed)
        )
        chunks = deque(response.body())
        breaks_off = fault is NetworkFault.TRUNCATED and bool(chunks)
        if breaks_off:
            chunks[0] = chunks[0][: len(chunks[0]) // 2]
        content = _Content(chunks, breaks_off)
        received = CIMultiDict(response.headers)
        return _Received(response.status, received, target, content, response.length)


class _Router:
    """The sessions of one process: one is enough."""

    errors = (aiohttp.ClientError, asyncio.TimeoutError)

    def __init__(self, session: _Session) -> None:
        self._session = session

    def session_for(self, _: str) -> _Session:
        return self._session

    async def close(self) -> None:
        """There are no connections."""


def without_sessions(config: Config) -> Client:
    """Return a client to copy for each process."""
    with patch.object(client, "ProxyRouter"), patch.object(client, "Resolver"):
        return Client(config, Clock())


def simulated_upstream(
    config: Config, template: Client, network: Network, process: Process
) -> Upstream:
    """Return the real upstream and its client, over simulated sessions."""
    simulated = Client.__new__(Client)
    vars(simulated).update(vars(template))
    simulated.clock = process.clock
    simulated._router = _Router(_Session(network, process))  # type: ignore[assignment]
    return Upstream(config, simulated)
