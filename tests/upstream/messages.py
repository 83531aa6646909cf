"""Requests and responses as plain values, so that faults can rewrite both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .content import Content

# Returns a new iterator of the body's blocks at each call.
Body = Callable[[], Iterator[bytes]]
_STATUSES = frozenset(HTTPStatus)


@dataclass(frozen=True, slots=True)
class Request:
    """The parts of a request that the response depends on."""

    method: str
    path: str  # decoded, without the query
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""
    host: str = "index"  # or "files", when files have a host of their own
    project: str | None = None  # normalised name of the project that the path belongs to
    rpc: str | None = None  # name of the XML-RPC method
    at: int | None = None  # respond as of this serial
    edit: Callable[[dict[str, Any]], None] | None = None  # changes a page before rendering


@dataclass(frozen=True, slots=True)
class Response:
    """A response and how it is sent."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = lambda: iter(())
    length: int | None = 0  # Content-Length; None: chunked
    delay: float = 0.0  # seconds before the first byte
    rate: float | None = None  # bytes per second
    cut: int | None = None  # bytes of the body after which the connection is closed
    linger: float = 0.0  # seconds between the cut and the close
    reset: bool = False  # close with a reset
    wire: bytes | None = None  # sent instead of everything above, before closing

    @classmethod
    def of(
        cls, body: bytes, content_type: str, headers: Mapping[str, str] = {}, status: int = 200
    ) -> Response:
        """Return a response with a complete body."""
        headers = {"Content-Type": content_type, **headers}
        return cls(status, headers, lambda: iter((body,)), len(body))

    @classmethod
    def part(
        cls, content: Content, start: int, stop: int, headers: Mapping[str, str], status: int
    ) -> Response:
        """Return a response with the bytes of `content` from `start` up to `stop`."""
        return cls(status, headers, lambda: content.read(start, stop), stop - start)

    @classmethod
    def plain(cls, status: int, headers: Mapping[str, str] = {}) -> Response:
        """Return a response with the status as its body."""
        text = f"{status} {HTTPStatus(status).phrase}" if status in _STATUSES else str(status)
        return cls.of(text.encode(), "text/plain; charset=utf-8", headers, status)
