"""Measure `verify` of a large mirror: requests, seconds and memory.

    python -m bench.verify [--files 1000000] [--projects 20000]

The storage is a stand-in in the same process. It makes up pages and listings when they are asked
for, so that it has nothing in memory, and answers at once: the seconds are those of the code and of
the stand-in, not of a network. Exits with status 1 if the audit finds other damage than there is,
makes more requests than it may, or takes more memory than the limit. Needs Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
import time
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Final, cast

from bench.memory import peak_memory
from frumious.auditing.audit import AuditSettings, audit
from frumious.clock import Clock
from frumious.config import loading
from frumious.mirror import Mirror
from frumious.model import layout
from frumious.model.pages import File, ListedProject, ProjectPage, Publication
from frumious.model.runs import Cursor
from frumious.model.types import Key, RunId
from frumious.simple import gzipped, render, root_index
from frumious.state.objects import render as render_state
from frumious.storage.protocol import Conflict, Entry, Head, Opened, Stored

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterator

    from packaging.utils import NormalizedName

    from frumious.config.settings import Config
    from frumious.model.checksums import FileStream
    from frumious.upstream.upstream import Upstream

_LISTED: Final = 1000  # objects of one LIST
_MISSING: Final = 20  # files, and as many orphans
_LIMIT: Final = 512 * 1024**2  # bytes
_OLD: Final = 0.0  # when everything was stored


class SyntheticStorage:
    """A mirror of any size; each project has files of all keys."""

    def __init__(self, projects: int, files: int, config: Config) -> None:
        self.projects = projects
        self.files = files
        self.config = config
        self.requests: Counter[str] = Counter()
        self.state: dict[str, bytes] = {}
        self.fingerprint = ""  # of the configuration
        self._step = 2**256 // files
        self.pages = lru_cache(512)(self._pages)

    def prepare(self) -> None:
        """Make the root index and the cursor."""
        listed = root_index.batched(
            (cast("NormalizedName", self.name(n)), ListedProject(self.name(n), 1, len(self.of(n))))
            for n in range(self.projects)
        )
        body = root_index.json_page(root_index.json_projects(listed), 1, {})
        html = root_index.html_page(root_index.batches(body, Key("")))
        pages = self.config.page_layout
        for key, page in ((pages.root_manifest, body), *((key, html) for key in pages.root_html)):
            self.state[key] = page
            self.state[pages.variant(key)] = gzipped.compress(page)
        cursor = Cursor(serial=1, projects=self.projects, files=self.files, lagging=False)
        self.state[layout.CURSOR] = render_state(cursor)

    def name(self, number: int) -> str:
        return f"project-{number:07}"

    def of(self, project: int) -> range:
        """Return a project's files."""
        return range(project, self.files, self.projects)

    def key(self, number: int) -> Key:
        """Return a file's key: keys are in the order of the numbers."""
        digest = f"{number * self._step:064x}"
        name = f"project_{number % self.projects:07}-{number}.0-py3-none-any.whl"
        return Key(f"web/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{name}")

    def _pages(self, project: int) -> dict[Key, bytes]:
        keys = [self.key(number) for number in self.of(project)]
        page = ProjectPage(
            name=self.name(project),
            api_version="1.4",
            versions=(),
            serial=1,
            files=tuple(
                File(
                    filename=layout.filename(key),
                    url=layout.file_url(key, ""),
                    hashes={"sha256": hashlib.sha256(key.encode()).hexdigest()},
                    size=1000,
                )
                for key in keys
            ),
            publication=Publication(
                run=RunId("20260101T000000-1"), selection=self.fingerprint, compressed=True
            ),
        )
        body, html = render.project_page_json(page), render.project_page_html(page)
        forms = self.config.page_layout
        json_key = forms.manifest(page.name)
        return {
            **{forms.page(page.name, form): html for form in (layout.HTML, layout.V1_HTML)},
            json_key: body,
            forms.variant(json_key): gzipped.compress(body),
        }

    async def read(self, key: Key) -> Stored | None:
        self.requests["GET"] += 1
        body = self.state.get(key)
        if body is None and key.startswith("web/simple/project-"):
            body = self.pages(_number(key)).get(key)
        return None if body is None else Stored(body, _etag(body))

    async def head(self, key: Key) -> Head | None:  # noqa: ARG002 (it is missing)
        self.requests["HEAD"] += 1
        return None

    async def stream(self, key: Key) -> Opened | None:  # noqa: ARG002
        self.requests["GET"] += 1
        return None

    async def write(self, key: Key, body: bytes, *, replacing: str | None = None) -> str:
        self.requests["PUT"] += 1
        self.state[key] = body
        return replacing or _etag(body)

    async def create(self, key: Key, body: bytes) -> str:
        if key in self.state:
            raise Conflict(key)
        return await self.write(key, body)

    async def store(self, key: Key, stream: FileStream) -> None:
        raise NotImplementedError

    async def delete(self, keys: Collection[Key]) -> None:
        self.requests["DELETE"] += 1
        for key in keys:
            self.state.pop(key, None)

    async def list(self, prefix: str, *, after: str = "") -> AsyncGenerator[Entry, None]:
        count = 0
        for entry in self._entries(prefix, after):
            if count % _LISTED == 0:
                self.requests["LIST"] += 1
            count += 1
            yield entry
        self.requests["LIST"] += count == 0

    async def remove_leftovers(self) -> int:
        return 0

    def pop_request_count(self) -> int:
        return 0

    async def server_time(self) -> float | None:
        return None

    def _entries(self, prefix: str, after: str) -> Iterator[Entry]:
        if prefix == layout.FILES:
            yield from self._file_entries(after)
        elif prefix in {"web/simple/", f"{layout.GZIP_FOLDER}simple/"}:
            last = after.rpartition("-")[2][:7]
            for number in range(int(last) + 1 if last else 0, self.projects):
                yield from self.page_entries(number, prefix)
        elif prefix.startswith("web/simple/project-"):
            yield from self.page_entries(_number(prefix), prefix)
        else:
            for key in sorted(self.state):
                if key.startswith(prefix) and key > after:
                    yield Entry(Key(key), len(self.state[key]), _OLD)

    def _file_entries(self, after: str) -> Iterator[Entry]:
        digest = after.removeprefix(layout.FILES)[:2]
        first = -(-(int(digest, 16) << 248) // self._step) if digest else 0
        for number in range(first, self.files):
            key = self.key(number)
            if number % (self.files // _MISSING) == 0:  # it is missing, and there is another
                key = Key(key.replace("project_", "orphan_"))
            yield Entry(key, 1000, _OLD)

    def page_entries(self, project: int, prefix: str) -> Iterator[Entry]:
        for key, body in sorted(self.pages(project).items()):
            if key.startswith(prefix):
                yield Entry(key, len(body), _OLD, _etag(body))


def _number(key: str) -> int:
    return int(key.split("/")[2].rpartition("-")[2])


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.verify", description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--projects", type=int, default=20_000)
    options = parser.parse_args()
    config = loading.parse("[mirror]\nstorage-backend = s3\ndirectory = /bucket\n", {})
    storage = SyntheticStorage(options.projects, options.files, config)
    mirror = Mirror.of(config, Clock(), cast("Upstream", None), storage, storage)
    storage.fingerprint = mirror.fingerprint(cast("NormalizedName", "project"))
    storage.prepare()
    before, began, used = peak_memory(), time.perf_counter(), time.process_time()
    progress = asyncio.run(audit(mirror, AuditSettings()))
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    figures = {
        "projects": progress.projects,
        "objects": progress.objects,
        **{verb: storage.requests[verb] for verb in ("LIST", "GET", "HEAD", "PUT")},
        "seconds": round(seconds),
        "CPU seconds": round(cpu),
        "peak MiB": peak_memory() // 1024**2,
        "MiB before": before // 1024**2,
        "found": dict(progress.counts),
    }
    print(json.dumps(figures, indent=1))
    lists = progress.objects / _LISTED + 3 * progress.shards
    return int(
        progress.counts != {"missing-file": _MISSING, "orphan": _MISSING}
        or storage.requests["LIST"] > lists + 100
        or storage.requests["GET"]
        > options.projects + progress.batches * (progress.shards + 3) + 10 * _MISSING
        or storage.requests["HEAD"] > _MISSING + 10
        or peak_memory() > _LIMIT
    )


if __name__ == "__main__":
    sys.exit(main())
