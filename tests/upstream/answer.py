"""What was asked, and what is sent back: plain values, so that faults can rewrite both.

Knows no index, no formats and no sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .content import Content

# Returns the body afresh each time, block by block.
Body = Callable[[], Iterator[bytes]]
_STATUSES = frozenset(HTTPStatus)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, as far as the answer depends on it."""

    method: str
    path: str  # decoded, without the query
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""
    host: str = "index"  # or "files", when files have a host of their own
    project: str | None = None  # normalised; whose page, file or metadata is asked for
    rpc: str | None = None  # the XML-RPC method that is called
    at: int | None = None  # answer as of this serial
    edit: Callable[[dict[str, Any]], None] | None = None  # changes a page before it is rendered


@dataclass(frozen=True, slots=True)
class Answer:
    """One response and how it is sent."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = lambda: iter(())
    length: int | None = 0  # what Content-Length says; None: chunked
    delay: float = 0.0  # seconds before the first byte
    rate: float | None = None  # bytes in each second
    cut: int | None = None  # close the connection after so many bytes of the body
    reset: bool = False  # ... and do that with a reset
    wire: bytes | None = None  # send exactly this instead of everything above, then close

    @classmethod
    def of(
        cls, body: bytes, content_type: str, headers: Mapping[str, str] = {}, status: int = 200
    ) -> Answer:
        """Answer with a whole body."""
        headers = {"Content-Type": content_type, **headers}
        return cls(status, headers, lambda: iter((body,)), len(body))

    @classmethod
    def part(
        cls, content: Content, start: int, stop: int, headers: Mapping[str, str], status: int
    ) -> Answer:
        """Answer with the bytes of `content` from `start` up to `stop`."""
        return cls(status, headers, lambda: content.read(start, stop), stop - start)

    @classmethod
    def plain(cls, status: int, headers: Mapping[str, str] = {}) -> Answer:
        """Answer with no more than a status has to say."""
        text = f"{status} {HTTPStatus(status).phrase}" if status in _STATUSES else str(status)
        return cls.of(text.encode(), "text/plain; charset=utf-8", headers, status)
