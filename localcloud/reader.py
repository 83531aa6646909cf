"""Serves the bucket to clients as the distribution does, and no more.

Caching, compression and TLS are the distribution's alone; everything that a client can see is the
template's: behaviors, edge function, origin path, added headers.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from yarl import URL

from localcloud.edge import EdgeFunction, choose_behavior

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

    from localcloud.stack import Behavior, Distribution

CHUNK = 256 * 1024
PASSED_TO_ORIGIN = ("Range", "If-None-Match", "If-Modified-Since")
OF_THE_CONNECTION = {"connection", "date", "keep-alive", "server", "transfer-encoding"}


class Reader:
    """The distribution on loopback, in a thread of its own; `url` is its address."""

    def __init__(self, distribution: Distribution, s3: S3Client) -> None:
        self._distribution = distribution
        self._s3 = s3
        self._address: Future[str] = Future()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.url = self._address.result()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            if self._address.done():
                raise
            self._address.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        # QuickJS belongs to the thread that it was made in: this one.
        self._edge = {
            behavior.pattern: EdgeFunction(behavior.edge_code)
            for behavior in self._distribution.behaviors
            if behavior.edge_code is not None
        }
        runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=1)
        await runner.setup()
        async with aiohttp.ClientSession(auto_decompress=False) as self._session:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            self._address.set_result(f"http://{host}:{port}")
            await self._stopping.wait()
            await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=403, text="Only GET and HEAD are served.\n")
        behavior = choose_behavior(self._distribution.behaviors, path)
        if behavior.pattern not in self._edge:
            return await self._from_origin(request, path, behavior)
        result = self._edge[behavior.pattern](request.method, path, request.headers)
        if "statusCode" in result:
            return _edge_answer(result)
        return await self._from_origin(request, result["uri"], behavior)

    async def _from_origin(
        self, request: web.BaseRequest, path: str, behavior: Behavior
    ) -> web.StreamResponse:
        operation = "get_object" if request.method == "GET" else "head_object"
        key = unquote((self._distribution.origin_path + path).lstrip("/"))
        address = self._s3.generate_presigned_url(
            operation, Params={"Bucket": self._distribution.bucket, "Key": key}
        )
        passed = {name: value for name in PASSED_TO_ORIGIN if (value := request.headers.get(name))}
        # Encoded already: yarl would resolve dots in the key, and S3 does not.
        target = URL(address, encoded=True)
        async with self._session.request(request.method, target, headers=passed) as origin:
            response = web.StreamResponse(status=origin.status, reason=origin.reason)
            for name, value in origin.headers.items():
                if name.lower() not in OF_THE_CONNECTION:
                    response.headers[name] = value
            response.headers.update(behavior.added_headers)
            await response.prepare(request)
            if request.method == "GET":
                async for chunk in origin.content.iter_chunked(CHUNK):
                    await response.write(chunk)
            await response.write_eof()
        return response


def _edge_answer(result: dict[str, Any]) -> web.Response:
    headers = {name: header["value"] for name, header in result.get("headers", {}).items()}
    return web.Response(
        status=result["statusCode"],
        reason=result.get("statusDescription"),
        headers=headers,
        body=result.get("body", "").encode(),
    )
