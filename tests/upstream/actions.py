"""What can go wrong between an index and its mirror, one small class for each thing.

An action rewrites the question (`ask`), the answer (`answer`) or both. Knows neither the index
nor sockets, nor which requests it happens to.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote
from xmlrpc.client import Fault as RpcError
from xmlrpc.client import dumps

from .answer import Answer, Ask
from .content import BLOCK


class Action:
    """Something that goes wrong with one request. By itself: nothing."""

    def ask(self, ask: Ask) -> Ask:
        """Rewrite what was asked."""
        return ask

    def answer(self, answer: Answer, ask: Ask) -> Answer:
        """Rewrite what is answered, and how it is sent."""
        return answer


@dataclass(frozen=True)
class Together(Action):
    """Several actions on one request, the first one first."""

    actions: Sequence[Action]

    def ask(self, ask: Ask) -> Ask:
        for action in self.actions:
            ask = action.ask(ask)
        return ask

    def answer(self, answer: Answer, ask: Ask) -> Answer:
        for action in self.actions:
            answer = action.answer(answer, ask)
        return answer


# Other answers


@dataclass(frozen=True)
class Stale(Action):
    """Answer as the index was at `serial`, as a cache does that has not heard of later."""

    serial: int

    def ask(self, ask: Ask) -> Ask:
        return replace(ask, at=self.serial)


@dataclass(frozen=True)
class Edit(Action):
    """Let `change` alter the page, as the JSON has it, before it is rendered in any format."""

    change: Callable[[dict[str, Any]], None]

    def ask(self, ask: Ask) -> Ask:
        return replace(ask, edit=self.change)


@dataclass(frozen=True)
class Status(Action):
    """Answer with a status and a short text."""

    status: int
    retry_after: int | str | None = None  # seconds or an HTTP date

    def answer(self, answer: Answer, ask: Ask) -> Answer:
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return Answer.plain(self.status, headers)


@dataclass(frozen=True)
class Redirect(Action):
    """Redirect to an address; without one to the same address, for ever."""

    to: str | None = None
    status: int = 302

    def answer(self, answer: Answer, ask: Ask) -> Answer:
        return Answer.plain(self.status, {"Location": self.to or quote(ask.path)})


@dataclass(frozen=True)
class RateLimited(Action):
    """Refuse an XML-RPC call as PyPI does: with status 200 and a fault."""

    reset: int = 1  # seconds

    def answer(self, answer: Answer, ask: Ask) -> Answer:
        text = (
            "HTTPTooManyRequests: The action could not be performed because there were too many "
            f"requests by the client. Limit may reset in {self.reset} seconds."
        )
        return Answer.of(dumps(RpcError(-32500, text)).encode(), "text/xml; charset=utf-8")


@dataclass(frozen=True)
class Raw(Action):
    """Answer with exactly this status, these headers and this body, valid or not.

    Content-Length is added unless the headers have it or a Transfer-Encoding.
    """

    status: int = 200
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()
    body: bytes = b""

    def answer(self, answer: Answer, ask: Ask) -> Answer:
        pairs = list(self.headers.items() if isinstance(self.headers, Mapping) else self.headers)
        if not {name.lower() for name, _ in pairs} & {"content-length", "transfer-encoding"}:
            pairs.append(("Content-Length", str(len(self.body))))
        lines = [f"HTTP/1.1 {self.status} Raw", *(f"{name}: {value}" for name, value in pairs)]
        head = "\r\n".join([*lines, "Connection: close", "", ""])
        return Answer(self.status, wire=head.encode("utf-8", "surrogateescape") + self.body)


@dataclass(frozen=True)
class Wire(Action):
    """Send exactly these bytes instead of HTTP, and close the connection."""

    data: bytes

    def answer(self, answer: Answer, ask: Ask) -> Answer:
        return Answer(0, wire=self.data)


# Other bytes


@dataclass(frozen=True)
class WrongBytes(Action):
    """Flip one byte of the body, by default the last; its length stays."""

    at: int = -1

    def answer(self, answer: Answer, ask: Ask) -> Answer:
        if not answer.length:
            return answer
        at = self.at % answer.length

        def body() -> Iterator[bytes]:
            position = 0
            for block in answer.body():
                if position <= at < position + len(block):
                    flipped = bytearray(block)
                    flipped[at - position] ^= 0xFF
                    yield bytes(flipped)
                else:
                    yield block
                position += len(block)

        return replace(answer, body=body)


@dataclass(frozen=True)
class WrongLength(Action):
    """Send `by` bytes more, or fewer, than there are; Content-Length agrees with what is sent."""

    by: int

    def answer(self, answer: Answer, ask: Ask) -> Answer:
        if answer.length is None:
            return answer
        length = max(answer.length + self.by, 0)

        def body() -> Iterator[bytes]:
            yield from _first(itertools.chain(answer.body(), _zeros()), length)

        return replace(answer, body=body, length=length)


@dataclass(frozen=True)
class Endless(Action):
    """Never end the body: zeros follow it for as long as somebody reads."""

    def answer(self, answer: Answer, ask: Ask) -> Answer:
        return replace(answer, body=lambda: itertools.chain(answer.body(), _zeros()), length=None)


@dataclass(frozen=True)
class Gzip(Action):
    """Compress the body, whatever the client accepts, as `Content-Encoding: gzip`."""

    def answer(self, answer: Answer, ask: Ask) -> Answer:
        def body() -> Iterator[bytes]:
            packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
            for block in answer.body():
                yield packer.compress(block)
            yield packer.flush()

        headers = {**answer.headers, "Content-Encoding": "gzip"}
        return replace(answer, headers=headers, body=body, length=None)


# Other ways to send them


@dataclass(frozen=True)
class Slow(Action):
    """Wait before the first byte, or send the body at so many bytes in each second, or both."""

    delay: float = 0.0  # seconds
    rate: float | None = None

    def answer(self, answer: Answer, ask: Ask) -> Answer:
        return replace(answer, delay=self.delay, rate=self.rate)


@dataclass(frozen=True)
class Truncated(Action):
    """Close the connection after so many bytes of the body; Content-Length promised more."""

    after: int = 0

    def answer(self, answer: Answer, ask: Ask) -> Answer:
        return replace(answer, cut=self.after)


@dataclass(frozen=True)
class Reset(Action):
    """Reset the connection after so many bytes of the body; None: before any answer."""

    after: int | None = None

    def answer(self, answer: Answer, ask: Ask) -> Answer:
        if self.after is None:
            return Answer(0, wire=b"", reset=True)
        return replace(answer, cut=self.after, reset=True)


@dataclass(frozen=True)
class Chunked(Action):
    """Send no Content-Length."""

    def answer(self, answer: Answer, ask: Ask) -> Answer:
        return replace(answer, length=None)


@dataclass(frozen=True)
class NoRange(Action):
    """Know nothing of ranges: send everything, with 200, whatever range is asked for."""

    def ask(self, ask: Ask) -> Ask:
        headers = {name: value for name, value in ask.headers.items() if name != "range"}
        return replace(ask, headers=headers)

    def answer(self, answer: Answer, ask: Ask) -> Answer:
        headers = {k: v for k, v in answer.headers.items() if k != "Accept-Ranges"}
        return replace(answer, headers=headers)


def _zeros() -> Iterator[bytes]:
    return itertools.repeat(bytes(BLOCK // 16))


def _first(blocks: Iterator[bytes], length: int) -> Iterator[bytes]:
    """Yield the first `length` bytes."""
    for block in blocks:
        if length <= 0:
            return
        yield block[:length]
        length -= len(block)
