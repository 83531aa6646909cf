"""A proxy for an S3 server that records requests and can give the server other traits."""

from __future__ import annotations

import http.client
import re
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from tests.servers.loopback import LoopbackServer
from tests.servers.makers import LIKE_AWS, Conditions, Traits

Response = tuple[int, dict[str, str], bytes]  # status, headers, body

_CONDITIONS = frozenset({"if-match", "if-none-match"})
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request that the proxy received."""

    method: str
    path: str
    query: str
    headers: dict[str, str]  # names in lower case


@dataclass(frozen=True, slots=True)
class WrongRegion:
    """How AWS responds to requests that are signed for another region than the bucket's."""

    status: int
    code: str
    region: str = "eu-south-1"  # the bucket's

    def response(self, headers: dict[str, str]) -> Response | None:
        scope = re.search("Credential=[^/]+/[^/]+/([^/]+)/", headers["authorization"])
        if scope is not None and scope[1] == self.region:
            return None
        status, length, body = _error(self.status, self.code, f"<Region>{self.region}</Region>")
        return status, {"x-amz-bucket-region": self.region, **length}, body


@dataclass(slots=True)
class Fault:
    """A response to the next requests with a method, to paths that contain a text."""

    method: str
    status: int
    code: str
    count: int = 1
    path: str = ""


class RecordingProxy(LoopbackServer):
    """The proxy at `url`; a context manager."""

    def __init__(
        self,
        endpoint: str,
        traits: Traits = LIKE_AWS,
        wrong_region: WrongRegion | None = None,
    ) -> None:
        self.requests: list[RecordedRequest] = []
        self.faults: list[Fault] = []
        self._traits = traits
        self._wrong_region = wrong_region
        host = urlsplit(endpoint).netloc
        requests, refuse = self.requests, self._refuse

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                if self.headers.get("Expect"):
                    self.send_response_only(100)
                    self.end_headers()
                body = self.rfile.read(length)
                headers = {name.lower(): value for name, value in self.headers.items()}
                parts = urlsplit(self.path)
                request = RecordedRequest(self.command, parts.path, parts.query, dict(headers))
                requests.append(request)
                if refused := refuse(request, body):
                    self._respond(*refused)
                    return
                response = _forward(
                    host, self.command, self.path, _visible(headers, traits.conditions), body
                )
                is_read = self.command in {"GET", "HEAD"} and not parts.query
                if is_read and response[0] == HTTPStatus.NOT_FOUND != traits.missing_status:
                    response = _error(traits.missing_status, "AccessDenied")
                self._respond(*response)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815

            def _respond(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

        super().__init__(Handler)
        self.url = self.address

    def _refuse(self, request: RecordedRequest, body: bytes) -> Response | None:
        for fault in self.faults:
            if fault.count and fault.method == request.method and fault.path in request.path:
                fault.count -= 1
                return _error(fault.status, fault.code)
        if refused := self._traits.refusal(request, body):
            return _error(*refused)
        if self._wrong_region is not None:
            return self._wrong_region.response(request.headers)
        return None


def _error(status: int, code: str, details: str = "") -> Response:
    body = f"<Error><Code>{code}</Code><Message>refused</Message>{details}</Error>".encode()
    return status, {"Content-Length": str(len(body))}, body


def _visible(headers: dict[str, str], conditions: Conditions) -> dict[str, str]:
    """Return the headers as a server sees them."""
    if conditions is Conditions.IGNORED:
        return {
            name: headers[name] for name in headers if name not in {"if-match", "if-none-match"}
        }
    if conditions is Conditions.UNQUOTED and "if-match" in headers:
        etag = headers["if-match"]
        return {**headers, "if-match": '"quoted"' if etag.startswith('"') else f'"{etag}"'}
    return headers


def _forward(host: str, method: str, path: str, headers: dict[str, str], body: bytes) -> Response:
    for _ in range(_ATTEMPTS - 1):
        with suppress(ConnectionError):  # moto closes some of many connections that begin at once
            return _exchange(host, method, path, headers, body)
    return _exchange(host, method, path, headers, body)


def _exchange(host: str, method: str, path: str, headers: dict[str, str], body: bytes) -> Response:
    connection = http.client.HTTPConnection(host)
    try:
        connection.request(method, path, body, {**headers, "host": host})
        response = connection.getresponse()
        response_body = response.read()
        response_headers: dict[str, Any] = dict(response.getheaders())
    finally:
        connection.close()
    response_headers.pop("Connection", None)
    response_headers.pop("Transfer-Encoding", None)
    if method != "HEAD":
        response_headers["Content-Length"] = str(len(response_body))
    return response.status, response_headers, response_body
