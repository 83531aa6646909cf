"""HTTP server that serves the bucket like the CloudFront distribution.

It applies the template's behaviors, edge function, origin path and added headers, but does not
cache, compress or encrypt.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from yarl import URL

from localcloud.edge import EdgeError, EdgeFunction, choose_behavior
from localcloud.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_s3.client import S3Client

    from localcloud.metrics import Metrics
    from localcloud.stack import Behavior, Distribution

CHUNK = 256 * 1024
FORWARDED_HEADERS = ("Range", "If-None-Match", "If-Modified-Since")
OMITTED_HEADERS = {"connection", "date", "keep-alive", "server", "transfer-encoding"}


class DistributionServer:
    """Serves a distribution on loopback in a thread; `url` is its address."""

    def __init__(
        self,
        distribution: Distribution,
        s3: S3Client,
        metrics: Metrics,
        key_value_store: Mapping[str, str] | None = None,
    ) -> None:
        self._distribution = distribution
        self._s3 = s3
        self._metrics = metrics
        self._errors = Metric.of(
            "AWS/CloudFront", "5xxErrorRate", DistributionId=distribution.id, Region="Global"
        )
        self._key_value_store = key_value_store
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
        # A QuickJS context can only be used in the thread that created it: this one.
        self._edge = {
            behavior.pattern: EdgeFunction(
                behavior.edge_code, self._key_value_store if behavior.key_value_store else None
            )
            for behavior in self._distribution.behaviors
            if behavior.edge_code is not None
        }
        runner = web.ServerRunner(web.Server(self._count_errors), shutdown_timeout=1)
        await runner.setup()
        async with aiohttp.ClientSession(auto_decompress=False) as self._session:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            self._address.set_result(f"http://{host}:{port}")
            await self._stopping.wait()
            await runner.cleanup()

    async def _count_errors(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            response = await self._handle(request)
        except aiohttp.ClientConnectorError:
            response = web.Response(status=502, text="The origin does not answer.\n")
        failed = response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        self._metrics.add(self._errors, 100 if failed else 0)
        return response

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=403, text="Only GET and HEAD are served.\n")
        behavior = choose_behavior(self._distribution.behaviors, path)
        if behavior.pattern not in self._edge:
            return await self._from_origin(request, path, behavior)
        try:
            result = self._edge[behavior.pattern](request.method, path, request.headers)
        except EdgeError as error:
            return web.Response(status=503, text=f"{error}\n")
        if "statusCode" in result:
            return _edge_response(result)
        return await self._from_origin(request, result["uri"], behavior)

    async def _from_origin(
        self, request: web.BaseRequest, path: str, behavior: Behavior
    ) -> web.StreamResponse:
        operation = "get_object" if request.method == "GET" else "head_object"
        key = unquote((self._distribution.origin_path + path).lstrip("/"))
        url = self._s3.generate_presigned_url(
            operation, Params={"Bucket": self._distribution.bucket, "Key": key}
        )
        names = FORWARDED_HEADERS
        headers = {name: value for name in names if (value := request.headers.get(name))}
        # `encoded`, because yarl would otherwise resolve dots in the key, which S3 does not.
        target = URL(url, encoded=True)
        async with self._session.request(request.method, target, headers=headers) as origin:
            response = web.StreamResponse(status=origin.status, reason=origin.reason)
            for name, value in origin.headers.items():
                if name.lower() not in OMITTED_HEADERS:
                    response.headers[name] = value
            response.headers.update(behavior.added_headers)
            await response.prepare(request)
            if request.method == "GET":
                async for chunk in origin.content.iter_chunked(CHUNK):
                    await response.write(chunk)
            await response.write_eof()
        return response


def _edge_response(result: dict[str, Any]) -> web.Response:
    headers = {name: header["value"] for name, header in result.get("headers", {}).items()}
    return web.Response(
        status=result["statusCode"],
        reason=result.get("statusDescription"),
        headers=headers,
        body=result.get("body", "").encode(),
    )
