"""A proxy between one function's process and AWS that counts writes and kills the process.

In addition to the storage proxy's faults, it responds for the queues and for EventBridge, and it
holds a request until its turn.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from tests.faults.chance import Chance
from tests.faults.storage_proxy import StorageProxy, _close

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.soak.queue import Queue
    from tests.soak.turns import Turns

_RUN = re.compile(r"\b\d{8}T\d{6}[.\d]*-[0-9a-f-]+")
_HASH = re.compile(r"[0-9a-f]{20,}(/[0-9a-f]{2,})*|\b[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}")
_PROJECT = re.compile(
    r"(simple|tombstones|removed|deletions/[^/]+)/[^/.]+(?=/|\.json)|(?<=packages/).*|(?<=integrity/).*"
)


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to an invocation, unless it ends earlier.

    Attributes:
        killed_at: The number of the write at which its process is killed; 0: none.
        after: Whether that write is carried out.
        sleeps_at: The number of the request at which it falls asleep; 0: none.
        sleeps: The number of rounds that it sleeps.
    """

    killed_at: int = 0
    after: bool = False
    sleeps_at: int = 0
    sleeps: int = 0


class ProcessChance(Chance):
    """One process's random generators; run ids are masked, because the seed does not set them."""

    def __init__(self, whole: Chance, name: str) -> None:
        super().__init__(whole.seed)
        self._soak_chance = whole
        self._name = name

    def of(self, *purpose: str) -> Random:
        return self._soak_chance.of(self._name, *(_RUN.sub("<run>", each) for each in purpose))


class Gateway(StorageProxy):
    """An AWS endpoint at `url` for one named process."""

    def __init__(  # noqa: PLR0913 (it connects as many)
        self,
        name: str,
        endpoint: str,
        bucket: str,
        *,
        chance: Chance,
        rate: float,
        on_change: Callable[[str, list[str], bytes], None],
        queue: Queue,
        turns: Turns | None,
    ) -> None:
        self.name = name
        self.invocation_requests = 0  # since the invocation began
        self.writes = 0
        self.struck = False
        self.targets: Counter[str] = Counter()  # the writes at which processes were killed
        self.unexpected: list[str] = []
        self._queue = queue
        self._turns = turns
        self._fate = Fate()
        self._kill: Callable[[], None] = lambda: None
        super().__init__(endpoint, bucket, ProcessChance(chance, name), rate, on_change)

    def expect(self, fate: Fate, kill: Callable[[], None]) -> None:
        """Begin an invocation and reset its counts."""
        self._fate, self._kill = fate, kill
        self.invocation_requests = self.writes = 0
        self.struck = False

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        try:
            body = await request.read()
        except ConnectionError:  # the process was killed while it was still sending
            return _close(request)
        self.under_way += 1
        try:
            return await asyncio.shield(asyncio.ensure_future(self._in_turn(request, body)))
        finally:
            self.under_way -= 1

    async def _in_turn(self, request: web.Request, body: bytes) -> web.StreamResponse:
        if self._turns is None:
            return await self._or_die(request, body)
        if not await asyncio.wrap_future(self._turns.ask(self.name)):
            return _close(request)
        try:
            return await self._or_die(request, body)
        finally:
            self._turns.done()

    async def _or_die(self, request: web.Request, body: bytes) -> web.StreamResponse:
        self.invocation_requests += 1
        target = request.headers.get("X-Amz-Target", "")
        if request.method in {"GET", "HEAD"} or target.endswith("ReceiveMessage"):
            due = False
        else:
            self.writes += 1
            due = self.writes == self._fate.killed_at
        if due and not self._fate.after:
            await self._strike("before", request, target)
            return _close(request)
        response = self._respond(target, body) if target else await self._serve(request, body)
        if due:
            await self._strike("after", request, target)
        return response

    async def _strike(self, when: str, request: web.Request, target: str) -> None:
        self.struck = True
        operation = target.rpartition(".")[2] or f"{request.method} {self._general_key(request)}"
        self.targets[f"{self.name.rstrip('0123456789-')}, {when} {operation}"] += 1
        await asyncio.to_thread(self._kill)

    def _general_key(self, request: web.Request) -> str:
        """Return a request's key with run, project and digest masked."""
        key = request.path.removeprefix(f"/{self._bucket}").removeprefix("/")
        key = re.sub(r"(mirrored-files)-\d+", r"\1-_", _RUN.sub("_", key))
        key = _PROJECT.sub(lambda found: f"{found[1]}/_" if found[1] else "_", key)
        return _HASH.sub("_", key) or "several objects"

    def _respond(self, target: str, body: bytes) -> web.Response:
        service, _, action = target.partition(".")
        payload = json.loads(body)
        response = (
            {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in payload["Entries"]]}
            if service == "AWSEvents"
            else self._queue.respond(action, payload)
        )
        random = self._chance.of("aws", target)
        if response is None:
            self.unexpected.append(target)
            return web.Response(status=501, text=f"{target} is not expected here")
        if random.random() < self.rate:  # done, but the process gets an error
            self.happened[f"{action}: 500, but done"] += 1
            return web.Response(status=500, body=b"{}", content_type="application/x-amz-json-1.0")
        return web.json_response(response, content_type="application/x-amz-json-1.0")
