"""A proxy between one worker process and moto that injects faults.

It refuses, resets, delays or ignores a request, before or after moto has carried it out. It also
responds to SQS calls: the trial's own queue decides when a message is redelivered.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import threading
import time
from collections import Counter
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

import aiohttp
from aiohttp import web
from yarl import URL

from tests.faults.kills import Killer, project_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.faults.chance import Chance

_HOP_BY_HOP = frozenset({"connection", "expect", "transfer-encoding", "content-length"})
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_KEY = re.compile(rb"<Key>(.*?)</Key>")
_REFUSALS = {"500": 500, "503": 503, "429": 429}
_SILENCE = 3.0  # seconds, longer than any client waits

Response = tuple[int, dict[str, str], bytes]


class StorageProxy:
    """An S3 endpoint at `url` that forwards to moto at `endpoint`.

    Args:
        on_change: Called after each change that moto has carried out, with its method, its keys and
            the body.
    """

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        chance: Chance,
        rate: float,
        on_change: Callable[[str, list[str], bytes], None],
    ) -> None:
        self.rate = rate
        self.requests = 0
        self.happened: Counter[str] = Counter()
        self.killer: Killer | None = None
        self.under_way = 0
        self._endpoint = endpoint
        self._bucket = bucket
        self._chance = chance
        self._on_change = on_change
        listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(listening,), daemon=True)
        self._started = threading.Event()
        self._thread.start()
        self._started.wait()

    def settle(self, *, dead: bool) -> None:
        """Wait until all requests are carried out, as S3 would even for a `dead` process.

        Requests of a dead process may still wait to be read while its connections are open.
        """
        while self.under_way or (dead and self._server.connections):
            time.sleep(0.005)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, listening: socket.socket) -> None:
        asyncio.set_event_loop(self._loop)
        close = self._loop.run_until_complete(self._start(listening))
        self._loop.call_soon(self._started.set)
        self._loop.run_forever()
        self._loop.run_until_complete(close())
        self._loop.close()

    async def _start(self, listening: socket.socket) -> Callable[[], Any]:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{key:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        assert runner.server is not None
        self._server = runner.server
        await web.SockSite(runner, listening).start()

        async def close() -> None:
            await runner.cleanup()
            await self._session.close()

        return close

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        try:
            body = await request.read()
        except ConnectionError:  # the worker gave up, or was killed, while it was still sending
            return _close(request)
        if target := request.headers.get("X-Amz-Target", ""):
            return _respond_to_sqs(target)
        self.under_way += 1
        try:
            # The client may die before it is done: S3 would not notice.
            return await asyncio.shield(asyncio.ensure_future(self._serve(request, body)))
        finally:
            self.under_way -= 1

    async def _serve(self, request: web.Request, body: bytes) -> web.StreamResponse:
        keys = self._keys(request, body)
        project = project_of(keys[0]) if keys else None
        killer = self.killer
        due = killer.due("storage", project) if killer else None
        if killer and due and not due.after:
            await asyncio.to_thread(killer.strike)
            return _close(request)
        random = self._chance.of("storage", request.method, keys[0] if keys else "")
        kind = self._choose(random, request.method, keys)
        if kind is not None:
            self.happened[f"storage: {kind}"] += 1
        if kind == "reset, not done":
            return _close(request, reset=True)
        if kind == "late":
            await asyncio.sleep(random.uniform(0.02, 0.4))
        if kind in _REFUSALS:
            response = _refusal(_REFUSALS[kind])
        elif kind == "only some deleted":
            response = await self._delete_half(request, body, keys)
        else:
            response = await self._forward(request, body, keys)
        if killer and due:
            await asyncio.to_thread(killer.strike)
        return await _respond(request, response, kind)

    def _choose(self, random: Random, method: str, keys: list[str]) -> str | None:
        if random.random() >= self.rate:
            return None
        kinds = ["500", "503", "429", "reset, not done", "late", "late"]
        kinds += ["500, but done", "503, but done", "reset, but done", "closed, but done"]
        if random.random() < 0.2:
            kinds += ["silence, but done"]
        if method == "GET":
            kinds += ["response cut off"] * 3
        if method == "POST" and len(keys) > 1:
            kinds += ["only some deleted"] * 5
        return random.choice(kinds)

    def _keys(self, request: web.Request, body: bytes) -> list[str]:
        if request.method == "POST":
            return [unescape(key.decode()) for key in _KEY.findall(body)]
        key = unquote(request.path).removeprefix(f"/{self._bucket}/")
        return [key]

    async def _forward(self, request: web.Request, body: bytes, keys: list[str]) -> Response:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        url = URL(self._endpoint + request.raw_path, encoded=True)
        async with self._session.request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        ) as response:
            response_body = await response.read()
            headers = {k: v for k, v in response.headers.items() if k.lower() not in _HOP_BY_HOP}
            if request.method == "HEAD":
                headers["Content-Length"] = response.headers.get("Content-Length", "0")
            if response.status < 300 and request.method in {"PUT", "POST", "DELETE"}:
                self._on_change(request.method, keys, body)
            return response.status, headers, response_body

    async def _delete_half(self, request: web.Request, body: bytes, keys: list[str]) -> Response:
        """Delete every second key, and report the others as failed, as S3 sometimes does."""
        failed_keys = keys[1::2]
        for key in failed_keys:
            body = body.replace(f"<Object><Key>{escape(key)}</Key></Object>".encode(), b"")
        await self._forward(request, body, keys[::2])
        errors = "".join(
            f"<Error><Key>{escape(key)}</Key><Code>InternalError</Code>"
            "<Message>We encountered an internal error. Please try again.</Message></Error>"
            for key in failed_keys
        )
        text = f'<?xml version="1.0"?><DeleteResult>{errors}</DeleteResult>'
        return 200, {"Content-Type": "application/xml"}, text.encode()


async def _respond(
    request: web.Request, response: Response, kind: str | None
) -> web.StreamResponse:
    """Send the response to the worker, or the fault instead."""
    match kind:
        case "500, but done" | "503, but done":
            return _response(_refusal(int(kind[:3])))
        case "reset, but done":
            return _close(request, reset=True)
        case "silence, but done":
            await asyncio.sleep(_SILENCE)
            return _close(request)
        case "closed, but done":
            return _close(request)
        case "response cut off":
            return await _cut(request, response)
    return _response(response)


def _respond_to_sqs(target: str) -> web.Response:
    if target != "AmazonSQS.ChangeMessageVisibility":
        return web.Response(status=501, text=f"{target} is not expected here")
    return web.Response(body=b"{}", content_type="application/x-amz-json-1.0")


def _refusal(status: int) -> Response:
    code = {500: "InternalError", 503: "SlowDown", 429: "TooManyRequests"}[status]
    text = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>not now</Message></Error>'
    return status, {"Content-Type": "application/xml"}, text.encode()


def _response(response: Response) -> web.Response:
    status, headers, body = response
    return web.Response(status=status, headers=headers, body=body)


async def _cut(request: web.Request, response: Response) -> web.StreamResponse:
    status, headers, body = response
    stream = web.StreamResponse(status=status, headers=headers)
    stream.content_length = len(body)
    with contextlib.suppress(ConnectionError):  # the worker may be dead
        await stream.prepare(request)
        await stream.write(body[: len(body) // 2])
    return _close(request)


def _close(request: web.Request, *, reset: bool = False) -> web.StreamResponse:
    transport = request.transport
    if transport is not None:
        if reset:
            with contextlib.suppress(OSError):
                transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
                )
            transport.abort()
        else:
            transport.close()
    return _Closed()


class _Closed(web.StreamResponse):
    """A response that makes aiohttp send nothing more."""

    def __init__(self) -> None:
        super().__init__()
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> Any:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return
