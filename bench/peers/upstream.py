"""An upstream that costs little: rendered once, in memory, in a process of its own.

What a client asks for is answered as the tests' fake upstream does; only sockets and headers are
handled here, by as little code as possible, so that the peers and not their upstream are measured.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol, cast

import uvloop

from bench.child import in_child
from tests.upstream.messages import Request
from tests.upstream.pages import Addresses
from tests.upstream.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

    from tests.upstream import Index

_HEAD_END: Final = b"\r\n\r\n"


class Projects(Protocol):
    """What is served, before and after a change."""

    def index(self) -> Index:
        """Return an index that has the projects."""

    def change(self, index: Index) -> None:
        """Change some of them."""


class PeersUpstream:
    """The upstream of one comparison."""

    def __init__(self, url: str, pipe: Connection) -> None:
        self.url = url
        self._pipe = pipe

    def set(self, *, changed: bool, latency: float) -> None:
        """Show the catalogue before or after its change; answer after `latency` seconds."""
        self._pipe.send((changed, latency))
        self._pipe.recv()


@contextmanager
def serving(catalogue: Projects) -> Iterator[PeersUpstream]:
    """Serve a catalogue."""
    with in_child(_serve, catalogue) as pipe:
        yield PeersUpstream(pipe.recv(), pipe)


def _serve(catalogue: Projects, pipe: Connection) -> None:
    uvloop.run(_run(catalogue, pipe))


async def _run(catalogue: Projects, pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    index = catalogue.index()
    before = index.serial
    catalogue.change(index)
    answers = _Answers()
    server = await loop.create_server(lambda: _Connection(answers), "127.0.0.1", 0, backlog=512)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    answers.site = Site(index, Addresses(url, url), split=False)
    pipe.send(url)
    while True:
        try:
            changed, answers.latency = await asyncio.to_thread(pipe.recv)
        except EOFError:
            return
        answers.at = None if changed else before
        answers.forget()
        pipe.send(None)


class _Answers:
    """Complete answers, by what decides about them."""

    def __init__(self) -> None:
        self.site: Site
        self.at: int | None = None
        self.latency = 0.0
        self._known: dict[tuple[object, ...], list[bytes]] = {}

    def forget(self) -> None:
        """Answer anew from the index."""
        self._known.clear()

    def answer(self, head: bytes, body: bytes) -> list[bytes]:
        """Return the parts of an answer."""
        line, *fields = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        headers = {
            name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)
        }
        path = target.partition("?")[0]
        key = (
            method,
            path,
            headers.get("accept"),
            headers.get("if-none-match"),
            headers.get("range"),
            body,
        )
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._render(
                Request(method, path, headers, body, "index", None, None, at=self.at)
            )
        return known

    def _render(self, request: Request) -> list[bytes]:
        response = self.site.respond(request)
        reason = HTTPStatus(response.status).phrase
        lines = [f"HTTP/1.1 {response.status} {reason}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        lines.append(f"Content-Length: {response.length}")
        head = "\r\n".join(lines).encode("latin-1") + _HEAD_END
        return [head] if request.method == "HEAD" else [head, *response.body()]


class _Connection(asyncio.Protocol):
    """One connection of a client, which waits for each answer."""

    def __init__(self, answers: _Answers) -> None:
        self._answers = answers
        self._buffer = b""
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, rest = self._buffer.partition(_HEAD_END)
        if not end:
            return
        size = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                size = int(line[15:])
        if len(rest) < size:
            return
        self._buffer = rest[size:]
        parts = self._answers.answer(head, rest[:size])
        if self._answers.latency:
            asyncio.get_running_loop().call_later(
                self._answers.latency, self._transport.writelines, parts
            )
        else:
            self._transport.writelines(parts)
