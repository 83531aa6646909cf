"""Measure what the change feed costs: a tick of the finalizer, and a tick of a follower.

    python -m bench.feed [--entries 740000] [--changes 1000]

The feed has as many entries as PyPI has projects; the storage is a stand-in in the same process
that answers at once. Its bytes are those of all requests of a tick.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import time
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from bench.memory import peak_memory
from frumious.clock import Clock, utc
from frumious.config.changes import ChangesConfig
from frumious.finalizing.change_feed import entry_of, record_changes
from frumious.model import changes, checkpoint, layout, merkle
from frumious.model.changes import Position
from frumious.model.checkpoint import Checkpoint
from frumious.model.jobs import Job, Outcome, Report, Result
from frumious.model.merkle import TILE_WIDTH
from frumious.model.types import Key, RunId
from frumious.state.changes import FeedState
from frumious.state.inbox import Inbox
from frumious.state.objects import render
from frumious.storage.protocol import Entry, Stored
from frumious.upstream.client import Response
from frumious.upstream.feed import ChangeFeed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping

    from frumious.mirror import Mirror
    from frumious.upstream.client import Client

_RUN: Final = RunId("20261128T015300.123456-c0ffee-000")
_NOW: Final = 1.8e9
_FILES: Final = 2  # that a change adds, as at PyPI


@dataclass(slots=True)
class _Storage:
    """Objects in memory; counts requests and their bytes."""

    objects: dict[Key, bytes] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    moved: int = 0

    async def read(self, key: Key) -> Stored | None:
        body = self.objects.get(key)
        self._count("GET", body or b"")
        return None if body is None else Stored(body, hashlib.sha256(body).hexdigest())

    async def write(self, key: Key, body: bytes, *, replacing: str | None = None) -> str:
        del replacing
        self._count("PUT", body)
        self.objects[key] = body
        return hashlib.sha256(body).hexdigest()

    create = write

    async def list(self, prefix: str) -> AsyncGenerator[Entry, None]:
        self._count("LIST", b"")
        for key in sorted(self.objects):
            if key.startswith(prefix):
                yield Entry(key, len(self.objects[key]))

    async def delete(self, keys: Collection[Key]) -> None:
        self._count("DELETE", b"")
        for key in keys:
            del self.objects[key]

    async def fetch(self, url: str, *, limit: int, headers: Mapping[str, str]) -> Response:
        """Answer as upstream does that serves these objects."""
        del limit
        stored = await self.read(Key(f"web/{url.removeprefix('https://mirror/')}"))
        if stored is None:
            return Response(404, {}, b"", url)
        if headers.get("If-None-Match") == f'"{stored.etag}"':
            return Response(304, {}, b"", url)
        return Response(200, {"ETag": f'"{stored.etag}"'}, stored.body, url)

    def _count(self, kind: str, body: bytes) -> None:
        self.requests[kind] += 1
        self.moved += len(body)


def _report(number: int) -> Report:
    name = f"project-{number:06}"
    digest = hashlib.sha256(name.encode()).hexdigest()
    keys = [
        Key(f"web/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{name}-1.{each}.tar.gz")
        for each in range(_FILES)
    ]
    result = Result(
        project=cast("Any", name),
        outcome=Outcome.UPDATED,
        name=name,
        serial=31_000_000 + number,
        listed=True,
        added=tuple(keys),
        page=digest,
        sha256=tuple((key, digest) for key in keys),
        uploaded="2026-11-28T01:53:00.123456Z",
    )
    return Report(Job(_RUN, cast("Any", name), 0), result)


async def _begin(entries: int) -> tuple[_Storage, Position]:
    """Return a feed of so many entries, of which only the right edge exists."""
    storage = _Storage()
    made = [_report(number) for number in range(entries % TILE_WIDTH)]
    lines = [entry_of(each, utc(_NOW), 31_000_000).render() for each in made]
    edge: dict[int, list[bytes]] = {}
    for tile in merkle.edge_tiles(entries):
        hashes = [hashlib.sha256(bytes([tile.level, at])).digest() for at in range(tile.width)]
        edge[tile.level] = [*map(merkle.leaf_hash, lines)] if not tile.level else hashes
        storage.objects[changes.tile_key(tile)] = b"".join(edge[tile.level])
    tree = merkle.tree_of(entries, edge)
    number, width = divmod(entries, TILE_WIDTH)
    storage.objects[changes.bundle_key(number, width)] = changes.join_lines(lines)
    state = FeedState(origin="mirror/1", size=tree.size, hashes=changes.encoded(tree))
    storage.objects[layout.FEED] = render(state)
    note = checkpoint.render(Checkpoint("mirror/1", tree.size, tree.root))
    storage.objects[changes.CHECKPOINT] = note
    etag = hashlib.sha256(note).hexdigest()
    return storage, Position.of("mirror/1", tree, note.decode(), f'"{etag}"')


async def _measure(entries: int, changed: int) -> list[tuple[str, ...]]:
    storage, position = await _begin(entries)
    mirror = cast(
        "Mirror",
        SimpleNamespace(
            config=SimpleNamespace(changes=ChangesConfig()), storage=storage, clock=Clock()
        ),
    )
    feed = ChangeFeed(cast("Client", storage), "https://mirror", b"")
    rows: list[tuple[str, ...]] = []

    async def row(step: str, work: Any) -> Any:
        storage.requests.clear()
        storage.moved = 0
        began, cpu = time.perf_counter(), time.process_time()
        result = await work
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        requests = ", ".join(f"{count} {kind}" for kind, count in storage.requests.items())
        peak = f"{peak_memory() / 2**20:.0f}"
        rows.append((step, requests, f"{storage.moved:,}", f"{seconds:.3f}", f"{cpu:.3f}", peak))
        return result

    await row("follower: nothing has changed", feed.read(position, _NOW))
    for count in (2, changed):
        reports = [_report(entries + number) for number in range(count)]
        inbox = Inbox()
        inbox.add(Key(f"state/inbox/{count}.json"), reports)
        written = record_changes(reports, inbox, 31_000_000, mirror)
        await row(f"finalizer: {count:,} changes", written)
        answer = await row(f"follower: {count:,} changes", feed.read(position, _NOW))
        position, entries = answer.position, entries + count
        if len(answer.changes.projects) != count:
            msg = f"the follower read {len(answer.changes.projects)} changes, not {count}"
            raise RuntimeError(msg)
    await row("follower: begins", feed.read(Position(), _NOW))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.feed", description=__doc__)
    parser.add_argument("--entries", type=int, default=740_000)
    parser.add_argument("--changes", type=int, default=1000)
    options = parser.parse_args()
    rows = asyncio.run(_measure(options.entries, options.changes))
    table = Table(box=MARKDOWN)
    for title in ("step", "requests", "bytes", "s", "CPU s", "peak MiB"):
        table.add_column(title)
    for each in rows:
        table.add_row(*each)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
