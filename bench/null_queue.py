"""An SQS endpoint on loopback that takes every message and keeps none, in a process of its own.

moto keeps all messages, and takes milliseconds for each: what is measured would wait for it. The
planner's own work, boto3's included, is the same.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection


@dataclass(frozen=True, slots=True)
class NullQueue:
    """Where the queue is, and what it was asked."""

    endpoint: str
    _pipe: Connection

    @property
    def url(self) -> str:
        return f"{self.endpoint}/000000000000/jobs.fifo"

    def taken(self) -> tuple[int, int]:
        """Return how many requests and messages came since this was last asked."""
        self._pipe.send(None)
        requests, messages = self._pipe.recv()
        return requests, messages


@contextmanager
def serving() -> Iterator[NullQueue]:
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(there,), daemon=True)
    process.start()
    there.close()
    try:
        yield NullQueue(here.recv(), here)
    finally:
        here.close()  # which ends the process
        process.join()


def _serve(pipe: Connection) -> None:
    asyncio.run(_answer(pipe))


async def _answer(pipe: Connection) -> None:
    requests = messages = 0

    async def handle(request: web.BaseRequest) -> web.Response:
        nonlocal requests, messages
        entries = json.loads(await request.read())["Entries"]
        requests += 1
        messages += len(entries)
        taken = [{"Id": entry["Id"], "MessageId": "0", "MD5OfMessageBody": ""} for entry in entries]
        body = json.dumps({"Successful": taken, "Failed": []})
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
