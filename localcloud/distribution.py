"""HTTP server that serves the bucket like the CloudFront distribution.

It applies the template's behaviors, edge function, origins, cache policies and added headers, but
does not compress or encrypt. It caches only with an `EdgeCache`: most tests look at what is stored.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from localcloud.edge import EdgeError, EdgeFunction, choose_behavior
from localcloud.edge_cache import CachedResponse, EdgeCache
from localcloud.metrics import Metric
from localcloud.stack import OriginGroup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from mypy_boto3_s3.client import S3Client

    from localcloud.metrics import Metrics
    from localcloud.stack import Behavior, Distribution

CHUNK = 256 * 1024
CONDITIONS = ("If-None-Match", "If-Modified-Since")
FORWARDED_HEADERS = ("Range", *CONDITIONS)
OMITTED_HEADERS = {"connection", "date", "keep-alive", "server", "transfer-encoding"}


@dataclass(frozen=True, slots=True)
class Target:
    """What a request asks the origins for: one after the other, where one fails."""

    path: str
    behavior: Behavior
    origin_paths: tuple[str, ...]
    failover: frozenset[int]  # statuses after which the next origin is asked
    encoding: str  # what the viewer accepts, as it is in the cache key
    headers: Mapping[str, str]  # of the cache key, which origins get


class DistributionServer:
    """Serves a distribution on loopback in a thread; `url` is its address."""

    def __init__(
        self,
        distribution: Distribution,
        s3: S3Client,
        metrics: Metrics,
        key_value_store: Mapping[str, str] | None = None,
        *,
        cache: EdgeCache | None = None,
    ) -> None:
        self._distribution = distribution
        self._s3 = s3
        self._cache = cache
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
        result: dict[str, Any] = {
            "uri": path,
            "headers": {k.lower(): {"value": value} for k, value in request.headers.items()},
        }
        if behavior.pattern in self._edge:
            try:
                result = self._edge[behavior.pattern](request.method, path, request.headers)
            except EdgeError as error:
                return web.Response(status=error.status, text=f"{error}\n")
            if "statusCode" in result:
                return _edge_response(result)
        target = self._target(behavior, result)
        if self._cache is None or "Range" in request.headers:
            return await self._from_origin(request, target)
        return await self._from_cache(request, target, self._cache)

    def _target(self, behavior: Behavior, forwarded: Mapping[str, Any]) -> Target:
        """Return what a request asks for, after the function."""
        group = behavior.target
        if made := forwarded.get("originGroup"):
            names = tuple(each["originId"] for each in made["originIds"])
            group = OriginGroup("", names, frozenset(made["failoverCriteria"]["statusCodes"]))
        paths = [self._distribution.origin_paths[name] for name in group.origins]
        settings = forwarded.get("originSettings", {})
        if settings.keys() - {"originPath"}:
            msg = f"the local edge changes only an origin's path, not {settings!r}"
            raise TypeError(msg)
        paths[0] = settings.get("originPath", paths[0])  # only that of the primary origin
        headers = {k: each["value"] for k, each in forwarded["headers"].items()}
        return Target(
            forwarded["uri"],
            behavior,
            tuple(paths),
            group.failover,
            _normalized(headers.get("accept-encoding", "")),
            {k: headers[k] for k in behavior.cache_policy.headers if k in headers},
        )

    async def _from_origin(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        names = FORWARDED_HEADERS
        headers = {name: value for name in names if (value := request.headers.get(name))}
        if "If-None-Match" in headers:  # it counts alone (RFC 9110, 13.1.3); moto looks at both
            headers.pop("If-Modified-Since", None)
        async with self._ask_origins(request.method, target, headers) as origin:
            response = web.StreamResponse(status=origin.status, reason=origin.reason)
            response.headers.update(_kept_headers(origin))
            response.headers.update(target.behavior.added_headers)
            await response.prepare(request)
            if request.method == "GET":
                async for chunk in origin.content.iter_chunked(CHUNK):
                    await response.write(chunk)
            await response.write_eof()
        return response

    async def _from_cache(
        self, request: web.BaseRequest, target: Target, cache: EdgeCache
    ) -> web.StreamResponse:
        policy = target.behavior.cache_policy
        encoding = target.encoding if policy.by_encoding else ""
        # Neither the behavior nor the origin: "Understand the cache key" in the developer guide.
        key = (target.path, encoding, *(f"{k}: {v}" for k, v in target.headers.items()))
        cached = cache.get(key)
        is_hit = cached is not None and cache.is_fresh(cached)
        if cached is None or not is_hit:
            cached = await self._refresh(key, cached, target, cache)
        headers = CIMultiDict(cached.headers)
        headers.update(target.behavior.added_headers)
        headers["X-Cache"] = f"{'Hit' if is_hit else 'Miss'} from cloudfront"
        if is_hit:
            headers["Age"] = str(int(cache.age(cached)))
        status, body = cached.status, cached.body
        condition = request.headers.get("If-None-Match")
        if condition and status == HTTPStatus.OK and condition == cached.etag:
            status, body = HTTPStatus.NOT_MODIFIED, b""
            headers.pop("Content-Length", None)
        return web.Response(status=status, headers=headers, body=body)

    async def _refresh(
        self, key: tuple[str, ...], stale: CachedResponse | None, target: Target, cache: EdgeCache
    ) -> CachedResponse:
        """Ask the origin, with the ETag of what has expired."""
        policy, error_ttls = target.behavior.cache_policy, self._distribution.error_ttls
        usable = stale is not None and stale.status == HTTPStatus.OK
        conditions = {"If-None-Match": stale.etag} if stale and usable and stale.etag else {}
        cache.origin_requests += 1
        async with self._ask_origins("GET", target, conditions) as origin:
            if origin.status == HTTPStatus.NOT_MODIFIED:
                return cache.renew(key, policy, error_ttls)
            if stale and usable and origin.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                return stale
            fetched = CachedResponse(
                origin.status,
                origin.reason or "",
                _kept_headers(origin),
                await origin.read(),
                stored=0,
                ttl=0,
            )
        return cache.put(key, fetched, policy, error_ttls)

    @asynccontextmanager
    async def _ask_origins(
        self, method: str, target: Target, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send the request to the first origin that does not fail, or to the last one."""
        operation = "get_object" if method == "GET" else "head_object"
        headers = {**headers, **target.headers}
        for number, origin_path in enumerate(target.origin_paths, 1):
            key = unquote((origin_path + target.path).lstrip("/"))
            url = self._s3.generate_presigned_url(
                operation, Params={"Bucket": self._distribution.bucket, "Key": key}
            )
            # `encoded`, because yarl would otherwise resolve dots in the key, which S3 does not.
            address = URL(url, encoded=True)
            async with self._session.request(method, address, headers=headers) as origin:
                is_last = number == len(target.origin_paths)
                if is_last or origin.status not in target.failover:
                    yield origin
                    return


def _normalized(accept_encoding: str) -> str:
    """Return the header as CloudFront has it in the cache key."""
    names = {each.partition(";")[0].strip().lower() for each in accept_encoding.split(",")}
    return ",".join(name for name in ("br", "gzip") if name in names)


def _kept_headers(origin: aiohttp.ClientResponse) -> CIMultiDict[str]:
    headers = origin.headers.items()
    return CIMultiDict(
        (name, value) for name, value in headers if name.lower() not in OMITTED_HEADERS
    )


def _edge_response(result: dict[str, Any]) -> web.Response:
    headers = {name: header["value"] for name, header in result.get("headers", {}).items()}
    return web.Response(
        status=result["statusCode"],
        reason=result.get("statusDescription"),
        headers=headers,
        body=result.get("body", "").encode(),
    )
