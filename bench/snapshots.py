"""Measure what snapshots cost: their creation, and a run that changes pages.

    python -m bench.snapshots [--projects 740000] [--changes 1000] [--files 30]

The storage is a stand-in in the same process that answers at once. Its bytes are those of all
requests. Pages have as many files as `--files` says, with core metadata.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from packaging.utils import NormalizedName
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from bench.memory import peak_memory
from frumious.clock import Clock
from frumious.config import loading
from frumious.finalizing.root_index import publish_root_index
from frumious.mirror import Mirror
from frumious.model.blobs import mirrored_files
from frumious.model.jobs import Job
from frumious.model.pages import File, ListedProject, ProjectPage, Publication
from frumious.model.types import RunId
from frumious.storage.protocol import Conflict, Entry, Head, Stored
from frumious.syncing.page_builder import BuiltPage
from frumious.syncing.page_publisher import PagePublisher
from frumious.syncing.recovery import Attempt
from tests.snapshots import create

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection

    from frumious.model.types import Key
    from frumious.storage.protocol import Storage
    from frumious.upstream.upstream import Upstream

_RUN: Final = RunId("20261128T015300.123456-c0ffee-000")
_CONFIG: Final = "[mirror]\nmaster = https://upstream.example\ndirectory = /mirror\n"


@dataclass(slots=True)
class _Storage:
    """Objects in memory; counts requests and their bytes."""

    objects: dict[Key, Stored] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    moved: int = 0

    async def read(self, key: Key) -> Stored | None:
        stored = self.objects.get(key)
        self._count("GET", b"" if stored is None else stored.body)
        return stored

    async def head(self, key: Key) -> Head | None:
        stored = self.objects.get(key)
        self._count("HEAD", b"")
        return None if stored is None else Head(len(stored.body), stored.etag)

    async def write(self, key: Key, body: bytes, *, replacing: str | None = None) -> str:
        if replacing is not None and self.objects[key].etag != replacing:
            raise Conflict(key)
        self._count("PUT", body)
        self.objects[key] = Stored(body, hashlib.md5(body, usedforsecurity=False).hexdigest())
        return self.objects[key].etag

    async def create(self, key: Key, body: bytes) -> str:
        if key in self.objects:
            raise Conflict(key)
        return await self.write(key, body)

    async def list(self, prefix: str, *, after: str = "") -> AsyncGenerator[Entry, None]:
        self._count("LIST", b"")
        for key in sorted(self.objects):
            if key.startswith(prefix) and key > after:
                yield Entry(key, len(self.objects[key].body))

    async def delete(self, keys: Collection[Key]) -> None:
        self._count("DELETE", b"")
        for key in keys:
            self.objects.pop(key, None)

    def _count(self, kind: str, body: bytes) -> None:
        self.requests[kind] += 1
        self.moved += len(body)


def _name(number: int) -> NormalizedName:
    return NormalizedName(f"project-{number:07}")


def _file(project: str, version: int) -> File:
    name = f"{project.replace('-', '_')}-1.{version}-py3-none-any.whl"
    digest = hashlib.sha256(name.encode()).hexdigest()
    return File(
        filename=name,
        url=f"../../packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{name}",
        hashes={"sha256": digest},
        requires_python=">=3.10",
        size=100_000,
        upload_time="2026-11-28T01:53:00.123456Z",
        core_metadata={"sha256": digest},
    )


def _page(project: NormalizedName, files: int, serial: int) -> ProjectPage:
    return ProjectPage(
        name=project,
        api_version="1.4",
        files=tuple(_file(project, version) for version in range(files)),
        versions=tuple(f"1.{version}" for version in range(files)),
        serial=serial,
        publication=Publication(run=_RUN, selection="0123456789abcdef"),
    )


async def _publish(mirror: Mirror, changes: int, files: int, serial: int) -> None:
    """Publish as jobs do, without what they ask upstream, and without files."""
    mirror.pages.snapshots.forget()
    for number in range(changes):
        project = _name(number)
        manifest = await mirror.pages.read_manifest(project)
        page = _page(project, files, serial)
        built = BuiltPage(page, mirrored_files(project, page), {})
        publisher = PagePublisher.of(Attempt(Job(_RUN, project, serial)), mirror)
        await publisher.publish(built, manifest, ())


async def _measure(projects: int, changes: int, files: int) -> list[tuple[str, ...]]:
    storage = _Storage()
    config = loading.parse(_CONFIG, {})
    opened = cast("Storage", storage)
    mirror = Mirror.of(config, Clock(), cast("Upstream", None), opened, opened)
    listed = {
        _name(each): ListedProject(_name(each), 30_000_000 + each, files, 10**6)
        for each in range(projects)
    }
    await publish_root_index(listed, 31_000_000, mirror.pages, replacing=None)
    del listed
    await _publish(mirror, changes, files, 1)
    rows: list[tuple[str, ...]] = []

    async def row(step: str, work: Any) -> None:
        storage.requests.clear()
        storage.moved = 0
        cpu = time.process_time()
        await work
        cpu = time.process_time() - cpu
        requests = ", ".join(f"{count:,} {kind}" for kind, count in storage.requests.items())
        peak = f"{peak_memory() / 2**20:.0f}"
        rows.append((step, requests, f"{storage.moved:,}", f"{cpu:.2f}", peak))

    await row("pages change, no snapshot", _publish(mirror, changes, files + 1, 2))
    await row("a snapshot is created", create("one", mirror))
    await row("pages change for the first time since", _publish(mirror, changes, files + 2, 3))
    await row("pages change once more", _publish(mirror, changes, files + 3, 4))
    for name in ("two", "three"):
        await create(name, mirror)
    await row("pages change, two new snapshots", _publish(mirror, changes, files + 4, 5))
    kept = [key for key in storage.objects if key.startswith("web/snapshot/one/simple/project")]
    if len(kept) != changes * len(config.page_layout.forms):
        msg = f"the snapshot keeps {len(kept)} pages of {changes} projects"
        raise RuntimeError(msg)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.snapshots", description=__doc__)
    parser.add_argument("--projects", type=int, default=740_000)
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--files", type=int, default=30)
    options = parser.parse_args()
    rows = asyncio.run(_measure(options.projects, options.changes, options.files))
    table = Table(box=MARKDOWN)
    for title in ("step", "requests", "bytes", "CPU s", "peak MiB"):
        table.add_column(title)
    for each in rows:
        table.add_row(*each)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
