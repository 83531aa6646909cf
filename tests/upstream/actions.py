"""Actions: what can go wrong between an index and its mirror, one small class for each.

An action rewrites the request, the response or both.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote
from xmlrpc.client import Fault as RpcError
from xmlrpc.client import dumps, loads

from .content import BLOCK
from .messages import Request, Response


class Action:
    """Base class of actions; does nothing."""

    def rewrite_request(self, request: Request) -> Request:
        """Return the request to respond to."""
        return request

    def rewrite_response(self, response: Response, request: Request) -> Response:
        """Return the response to send."""
        return response


@dataclass(frozen=True)
class Together(Action):
    """Apply several actions in order."""

    actions: Sequence[Action]

    def rewrite_request(self, request: Request) -> Request:
        for action in self.actions:
            request = action.rewrite_request(request)
        return request

    def rewrite_response(self, response: Response, request: Request) -> Response:
        for action in self.actions:
            response = action.rewrite_response(response, request)
        return response


# Other responses


@dataclass(frozen=True)
class Stale(Action):
    """Respond as of `serial`, like a cache that is not purged."""

    serial: int

    def rewrite_request(self, request: Request) -> Request:
        return replace(request, at=self.serial)


@dataclass(frozen=True)
class Edit(Action):
    """Apply `change` to the page's JSON before it is rendered in any format."""

    change: Callable[[dict[str, Any]], None]

    def rewrite_request(self, request: Request) -> Request:
        return replace(request, edit=self.change)


@dataclass(frozen=True)
class Rpc(Action):
    """Change what an XML-RPC method returns; other methods return what they do."""

    method: str
    change: Callable[[Any], Any]

    def rewrite_response(self, response: Response, request: Request) -> Response:
        if request.rpc != self.method:
            return response
        (result,) = loads(b"".join(response.body()))[0]
        body = dumps((self.change(result),), methodresponse=True, allow_none=True)
        return Response.of(body.encode(), "text/xml; charset=utf-8")


@dataclass(frozen=True)
class Status(Action):
    """Respond with a status and a short text."""

    status: int
    retry_after: int | str | None = None  # seconds or an HTTP date
    headers: Mapping[str, str] = field(default_factory=dict)

    def rewrite_response(self, response: Response, request: Request) -> Response:
        retry_after = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return Response.plain(self.status, {**retry_after, **self.headers})


@dataclass(frozen=True)
class Headers(Action):
    """Send the response with other headers; None removes a header."""

    changes: Mapping[str, str | None]

    def rewrite_response(self, response: Response, request: Request) -> Response:
        headers = {**response.headers, **self.changes}
        return replace(response, headers={k: v for k, v in headers.items() if v is not None})


@dataclass(frozen=True)
class RequireLogin(Action):
    """Respond with the status 401 unless the request has this Authorization header."""

    authorization: str

    def rewrite_response(self, response: Response, request: Request) -> Response:
        if request.headers.get("authorization") == self.authorization:
            return response
        return Response.plain(401, {"WWW-Authenticate": "Basic"})


@dataclass(frozen=True)
class Redirect(Action):
    """Redirect to a URL, by default forever to the same one."""

    to: str | None = None
    status: int = 302

    def rewrite_response(self, response: Response, request: Request) -> Response:
        return Response.plain(self.status, {"Location": self.to or quote(request.path)})


@dataclass(frozen=True)
class RateLimited(Action):
    """Refuse an XML-RPC call like PyPI: with status 200 and a fault."""

    reset: int = 1  # seconds

    def rewrite_response(self, response: Response, request: Request) -> Response:
        text = (
            "HTTPTooManyRequests: The action could not be performed because there were too many "
            f"requests by the client. Limit may reset in {self.reset} seconds."
        )
        return Response.of(dumps(RpcError(-32500, text)).encode(), "text/xml; charset=utf-8")


@dataclass(frozen=True)
class Raw(Action):
    """Respond with exactly this status, these headers and this body, valid or not.

    Content-Length is added unless the headers have it or a Transfer-Encoding.
    """

    status: int = 200
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()
    body: bytes = b""

    def rewrite_response(self, response: Response, request: Request) -> Response:
        pairs = list(self.headers.items() if isinstance(self.headers, Mapping) else self.headers)
        if not {name.lower() for name, _ in pairs} & {"content-length", "transfer-encoding"}:
            pairs.append(("Content-Length", str(len(self.body))))
        lines = [f"HTTP/1.1 {self.status} Raw", *(f"{name}: {value}" for name, value in pairs)]
        head = "\r\n".join([*lines, "Connection: close", "", ""])
        return Response(self.status, wire=head.encode("utf-8", "surrogateescape") + self.body)


@dataclass(frozen=True)
class Wire(Action):
    """Send exactly these bytes instead of HTTP, and close the connection."""

    data: bytes

    def rewrite_response(self, response: Response, request: Request) -> Response:
        return Response(0, wire=self.data)


# Other bytes


@dataclass(frozen=True)
class WrongBytes(Action):
    """Flip one byte of the body, by default the last; its length stays."""

    at: int = -1

    def rewrite_response(self, response: Response, request: Request) -> Response:
        if not response.length:
            return response
        at = self.at % response.length

        def body() -> Iterator[bytes]:
            position = 0
            for block in response.body():
                if position <= at < position + len(block):
                    flipped = bytearray(block)
                    flipped[at - position] ^= 0xFF
                    yield bytes(flipped)
                else:
                    yield block
                position += len(block)

        return replace(response, body=body)


@dataclass(frozen=True)
class WrongLength(Action):
    """Send a body with `by` more or fewer bytes; Content-Length matches the sent body."""

    by: int

    def rewrite_response(self, response: Response, request: Request) -> Response:
        if response.length is None:
            return response
        length = max(response.length + self.by, 0)

        def body() -> Iterator[bytes]:
            yield from _first(itertools.chain(response.body(), _zeros()), length)

        return replace(response, body=body, length=length)


@dataclass(frozen=True)
class Endless(Action):
    """Append zeros to the body until the client stops reading."""

    def rewrite_response(self, response: Response, request: Request) -> Response:
        return replace(
            response, body=lambda: itertools.chain(response.body(), _zeros()), length=None
        )


@dataclass(frozen=True)
class Gzip(Action):
    """Compress the body as Content-Encoding says, whatever the client accepts."""

    encoding: str = "gzip"  # or "deflate"
    wbits: int = zlib.MAX_WBITS | 16

    def rewrite_response(self, response: Response, request: Request) -> Response:
        def body() -> Iterator[bytes]:
            compressor = zlib.compressobj(wbits=self.wbits)
            for block in response.body():
                yield compressor.compress(block)
            yield compressor.flush()

        headers = {**response.headers, "Content-Encoding": self.encoding}
        return replace(response, headers=headers, body=body, length=None)


# Other ways of sending


@dataclass(frozen=True)
class Slow(Action):
    """Delay the first byte, limit the body's bytes per second, or both."""

    delay: float = 0.0  # seconds
    rate: float | None = None

    def rewrite_response(self, response: Response, request: Request) -> Response:
        return replace(response, delay=self.delay, rate=self.rate)


@dataclass
class AtOnce(Action):
    """Serve a number of responses at the same time, for a while each, and refuse more."""

    size: int
    refusal: Action = field(default_factory=lambda: Status(503))
    seconds: float = 0.02  # for each block
    refused: int = 0
    peak: int = 0  # responses at the same time
    _sending: int = 0

    def rewrite_response(self, response: Response, request: Request) -> Response:
        if self._sending >= self.size:
            self.refused += 1
            return self.refusal.rewrite_response(response, request)
        self._sending += 1
        self.peak = max(self.peak, self._sending)
        rate = min(response.length or BLOCK, BLOCK) / self.seconds
        return replace(response, body=lambda: self._send(response), rate=rate)

    def _send(self, response: Response) -> Iterator[bytes]:
        try:
            yield from response.body()
        finally:
            self._sending -= 1


@dataclass(frozen=True)
class Truncated(Action):
    """Close the connection after some bytes of the body, before its Content-Length is reached.

    A client that reads only after the close may get none of them.
    """

    after: int = 0
    linger: float = 0.0  # seconds before the close

    def rewrite_response(self, response: Response, request: Request) -> Response:
        return replace(response, cut=self.after, linger=self.linger)


@dataclass(frozen=True)
class Reset(Action):
    """Reset the connection after some bytes of the body; None: before the response."""

    after: int | None = None

    def rewrite_response(self, response: Response, request: Request) -> Response:
        if self.after is None:
            return Response(0, wire=b"", reset=True)
        return replace(response, cut=self.after, reset=True)


@dataclass(frozen=True)
class Chunked(Action):
    """Send no Content-Length."""

    def rewrite_response(self, response: Response, request: Request) -> Response:
        return replace(response, length=None)


@dataclass(frozen=True)
class UntilClose(Action):
    """Send no length and no chunks: the end of the connection ends the body, after some bytes."""

    after: int | None = None  # None: all

    def rewrite_response(self, response: Response, request: Request) -> Response:
        status = f"HTTP/1.1 {response.status} Sent\r\n"
        headers = {**response.headers, "Connection": "close"}
        head = status + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        body = b"".join(response.body())[: self.after]
        return Response(response.status, wire=f"{head}\r\n".encode() + body)


@dataclass(frozen=True)
class NoRange(Action):
    """Ignore ranges: send the complete body with the status 200."""

    def rewrite_request(self, request: Request) -> Request:
        headers = {name: value for name, value in request.headers.items() if name != "range"}
        return replace(request, headers=headers)

    def rewrite_response(self, response: Response, request: Request) -> Response:
        headers = {k: v for k, v in response.headers.items() if k != "Accept-Ranges"}
        return replace(response, headers=headers)


def _zeros() -> Iterator[bytes]:
    return itertools.repeat(bytes(BLOCK // 16))


def _first(blocks: Iterator[bytes], length: int) -> Iterator[bytes]:
    """Yield the first `length` bytes."""
    for block in blocks:
        if length <= 0:
            return
        yield block[:length]
        length -= len(block)
