"""A proxy for an S3 server that records requests and can hide what the server supports."""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from tests.servers.loopback import LoopbackServer

_CONDITIONS = ("if-match", "if-none-match")
_NOT_IMPLEMENTED = b"<Error><Code>NotImplemented</Code><Message>no conditions</Message></Error>"


class Conditions(Enum):
    """How the proxy treats If-Match and If-None-Match."""

    FORWARDED = auto()
    IGNORED = auto()
    REFUSED = auto()  # 501
    UNQUOTED = auto()  # an ETag in quotes never matches


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

    def response(self, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes] | None:
        scope = re.search("Credential=[^/]+/[^/]+/([^/]+)/", headers["authorization"])
        if scope is not None and scope[1] == self.region:
            return None
        body = (
            f"<Error><Code>{self.code}</Code><Message>elsewhere</Message>"
            f"<Region>{self.region}</Region></Error>"
        ).encode()
        return (
            self.status,
            {"x-amz-bucket-region": self.region, "Content-Length": str(len(body))},
            body,
        )


class RecordingProxy(LoopbackServer):
    """The proxy at `url`; a context manager."""

    def __init__(
        self,
        endpoint: str,
        conditions: Conditions = Conditions.FORWARDED,
        wrong_region: WrongRegion | None = None,
    ) -> None:
        self.requests: list[RecordedRequest] = []
        host = urlsplit(endpoint).netloc
        requests = self.requests

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
                requests.append(
                    RecordedRequest(self.command, parts.path, parts.query, dict(headers))
                )
                if wrong_region is not None and (refusal := wrong_region.response(headers)):
                    self._respond(*refusal)
                    return
                self._respond(*_forward(host, self.command, self.path, headers, body, conditions))

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


def _forward(  # noqa: PLR0913, PLR0917 (a request)
    host: str,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    conditions: Conditions,
) -> tuple[int, dict[str, str], bytes]:
    conditional = {name for name in _CONDITIONS if name in headers}
    if conditional and conditions is Conditions.REFUSED:
        return 501, {"Content-Length": str(len(_NOT_IMPLEMENTED))}, _NOT_IMPLEMENTED
    if conditional and conditions is Conditions.IGNORED:
        headers = {name: value for name, value in headers.items() if name not in conditional}
    if "if-match" in conditional and conditions is Conditions.UNQUOTED:
        etag = headers["if-match"]
        headers = {**headers, "if-match": '"quoted"' if etag.startswith('"') else f'"{etag}"'}
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
