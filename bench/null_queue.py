"""An SQS endpoint on loopback that accepts and discards messages, in a process of its own.

moto stores all messages and takes milliseconds for each, which would distort the measurement. The
planner's own work, including boto3's, is the same.
"""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from bench.child import in_child

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection


@dataclass(frozen=True, slots=True)
class NullQueue:
    """The queue's URL and its counts."""

    endpoint: str
    _pipe: Connection

    @property
    def url(self) -> str:
        return f"{self.endpoint}/000000000000/jobs.fifo"

    def pop_counts(self) -> tuple[int, int]:
        """Return the number of requests and of messages since the last call."""
        self._pipe.send(None)
        requests, messages = self._pipe.recv()
        return requests, messages


@contextmanager
def serving() -> Iterator[NullQueue]:
    with in_child(_serve) as pipe:
        yield NullQueue(pipe.recv(), pipe)


def _serve(pipe: Connection) -> None:
    asyncio.run(_respond(pipe))


async def _respond(pipe: Connection) -> None:
    requests = messages = 0

    async def handle(request: web.BaseRequest) -> web.Response:
        nonlocal requests, messages
        entries = json.loads(await request.read())["Entries"]
        requests += 1
        messages += len(entries)
        accepted = [
            {"Id": entry["Id"], "MessageId": "0", "MD5OfMessageBody": ""} for entry in entries
        ]
        body = json.dumps({"Successful": accepted, "Failed": []})
        return web.Response(text=body, content_type="application/x-amz-json-1.0")

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listening).start()
    pipe.send(f"http://127.0.0.1:{listening.getsockname()[1]}")
    while True:
        try:
            await asyncio.to_thread(pipe.recv)
        except EOFError:
            return
        pipe.send((requests, messages))
        requests = messages = 0
