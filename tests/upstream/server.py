"""The index on a real socket of 127.0.0.1.

Receives requests, applies the faults to requests and responses, and sends bytes. The site
determines the responses.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from aiohttp import web

from .faults import Faults
from .messages import Request, Response
from .pages import Addresses
from .record import RecordedRequest
from .rpc import called_method
from .site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from aiohttp.abc import AbstractStreamWriter

    from .index import Index
    from .personality import Personality

_HOST = "127.0.0.1"
# SO_LINGER on, for no time: closing the socket resets the connection.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_SLICES_PER_SECOND = 20


class Server:
    """A context manager that serves `index` from a thread of its own.

    With `files_host` ("127.0.0.1" or "localhost") files are served by a second server, on a
    port of its own and under that name, as PyPI does.
    """

    def __init__(self, index: Index, *, files_host: str | None = None) -> None:
        self.index = index
        self.faults = Faults()
        self._sockets = [_listen()]
        if files_host is not None:
            self._sockets.append(_listen())
        self.url = f"http://{_HOST}:{self._sockets[0].getsockname()[1]}"
        self.files_url = f"http://{files_host or _HOST}:{self._sockets[-1].getsockname()[1]}"
        self._site = Site(index, Addresses(self.url, self.files_url), split=files_host is not None)
        self._requests: list[RecordedRequest] = []
        self._lock = threading.Lock()
        self._crash: Exception | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="upstream", daemon=True)
        self._ready = threading.Event()

    # Switches

    @property
    def personality(self) -> Personality:
        """How the index behaves; may be set at any time."""
        return self._site.personality

    @personality.setter
    def personality(self, personality: Personality) -> None:
        self._site.personality = personality

    @property
    def row_limit(self) -> int:
        """The maximum number of rows of `changelog_since_serial`; may be set at any time."""
        return self._site.row_limit

    @row_limit.setter
    def row_limit(self, rows: int) -> None:
        self._site.row_limit = rows

    # What happened

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request since the last `clear`, in the order of arrival."""
        with self._lock:
            return list(self._requests)

    def requests_for(self, prefix: str) -> list[RecordedRequest]:
        """Return the requests for paths that begin with `prefix`."""
        return [request for request in self.requests if request.path.startswith(prefix)]

    def clear(self) -> None:
        """Forget the requests. Faults stay."""
        with self._lock:
            self._requests.clear()

    # Life

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        # The mirror takes a 500 for an error of upstream's; here it is a bug of a test or ours.
        if self._crash is not None and error is None:
            raise self._crash

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        runners = [self._loop.run_until_complete(self._serve(sock)) for sock in self._sockets]
        self._loop.call_soon(self._ready.set)
        self._loop.run_forever()
        for runner in runners:
            self._loop.run_until_complete(_stop(runner))
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _serve(self, sock: socket.socket) -> web.ServerRunner:
        host = "index" if sock is self._sockets[0] else "files"

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return await self._handle(request, host)

        server = web.Server(handle, handler_cancellation=True)
        runner = web.ServerRunner(server)
        await runner.setup()
        await web.SockSite(runner, sock).start()
        return runner

    # One request

    async def _handle(self, request: web.BaseRequest, host: str) -> web.StreamResponse:
        started = time.monotonic()
        body = await request.read()
        path = request.path
        parsed = Request(
            request.method,
            path,
            {name.lower(): value for name, value in request.headers.items()},
            body,
            host,
            self._site.project_of(path),
            called_method(body) if body else None,
        )
        action = self.faults.take(parsed)
        record = RecordedRequest(
            parsed.method, path, request.path_qs, host, parsed.headers, parsed.rpc, action, started
        )
        with self._lock:
            self._requests.append(record)
        try:
            # In a thread: large pages and the hashes of large files take their time.
            rewritten = action.rewrite_request(parsed) if action else parsed
            response = await asyncio.to_thread(self._site.respond, rewritten)
            if action:
                response = action.rewrite_response(response, parsed)
            return await _send(request, response, record)
        except ConnectionError:  # the client went away
            raise
        except Exception as error:
            self._crash = error
            raise
        finally:
            record.ended = time.monotonic()


async def _stop(runner: web.ServerRunner) -> None:
    """Abort connections with slow or endless responses, then close."""
    server = runner.server
    for connection in server.connections if server else ():
        if connection.transport is not None:
            connection.transport.abort()
    await asyncio.sleep(0)  # aborted transports close in the loop's next round
    await runner.cleanup()


async def _send(
    request: web.BaseRequest, response: Response, record: RecordedRequest
) -> web.StreamResponse:
    await asyncio.sleep(response.delay)
    record.status = response.status
    if response.wire is not None:
        wire = response.wire
        record.sent = len(wire)
        for chunk in _chunks(replace(response, body=lambda: iter((wire,)))):
            _write_to_socket(request, chunk)
            if response.rate:
                await asyncio.sleep(len(chunk) / response.rate)
        _close(request, reset=response.reset)
        return _Sent()
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    if response.length is None:
        stream.enable_chunked_encoding()
    else:
        stream.content_length = response.length
    await stream.prepare(request)
    if request.method == "HEAD":
        return stream
    for chunk in _chunks(response):
        record.sent += len(chunk)
        await stream.write(chunk)
        if response.rate:
            await asyncio.sleep(len(chunk) / response.rate)
    if response.cut is not None:
        await asyncio.sleep(response.linger)
        _close(request, reset=response.reset)
        return _Sent()
    return stream


def _chunks(response: Response) -> Iterator[bytes]:
    """Yield the body up to its cut, in chunks small enough for its rate."""
    remaining, rate = response.cut, response.rate
    for block in response.body():
        allowed = block if remaining is None else block[:remaining]
        step = max(int(rate / _SLICES_PER_SECOND), 1) if rate else max(len(block), 1)
        for start in range(0, len(allowed), step):
            yield allowed[start : start + step]
        if remaining is not None:
            remaining -= len(allowed)
            if remaining == 0:
                return


def _write_to_socket(request: web.BaseRequest, data: bytes) -> None:
    if request.transport is not None and data:
        request.transport.write(data)


def _close(request: web.BaseRequest, *, reset: bool) -> None:
    """Close the connection: after what was written, or with a reset."""
    transport = request.transport
    if transport is None:  # the client closed it
        return
    if reset:
        sock = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    else:
        transport.close()


class _Sent(web.StreamResponse):
    """A response that was already sent, on a connection that is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return


def _listen() -> socket.socket:
    """Bind a socket, so that its address is known before the thread starts."""
    return socket.create_server((_HOST, 0), backlog=512)
