"""Measure an export and an import of some changes in a mirror of PyPI's size.

    python -m bench.bundles [--projects 740000] [--changes 1000]

The storages are stand-ins in the same process, as in `bench.verify`: the seconds are those of the
code and of the stand-ins, not of a network. Each project has 20 files, each change adds one. Exits
with status 1 if there are more requests than there may be, or more memory than the limit. Needs
Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from bench.memory import peak_memory
from bench.verify import SyntheticStorage
from frumious.bundles import catalogue
from frumious.bundles.catalogue import CatalogueHead, CatalogueWriter, Known, file_id
from frumious.bundles.changes import fingerprint
from frumious.bundles.export import Exporter
from frumious.bundles.importing import import_bundles, read_signed
from frumious.bundles.locations import find_bundles
from frumious.clock import Clock
from frumious.config import loading
from frumious.mirror import Mirror
from frumious.model import layout
from frumious.model.pages import File, ProjectPage, Publication
from frumious.model.types import Key, RunId
from frumious.signing.keys import SigningKey
from frumious.simple import gzipped, render
from frumious.state.bundle_records import Export, Exports, Imported
from frumious.state.objects import render as render_state
from frumious.storage.protocol import CHUNK, Entry, Head, Opened, Stored

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from packaging.utils import NormalizedName

    from frumious.config.settings import Config
    from frumious.model.checksums import FileStream
    from frumious.upstream.upstream import Upstream

_FILES: Final = 20  # of a project
_FILLING: Final = b"x" * 10_000
_SOURCE: Final = "ab" * 16
_PREVIOUS: Final = "cd" * 16
_LIMIT: Final = 768 * 1024**2  # bytes, the root indexes of the stand-ins included
_FORMS: Final = (layout.HTML, layout.V1_HTML, layout.V1_JSON)


class Storage(SyntheticStorage):
    """A mirror; `changed` projects have no last file yet."""

    def __init__(self, projects: int, config: Config, changed: range, folder: Path) -> None:
        super().__init__(projects, projects * _FILES, config)
        self.changed = changed
        self.bytes_ = 0
        self.folder = folder

    def of(self, project: int) -> range:
        files = super().of(project)
        return files[:-1] if project in self.changed else files

    def content(self, number: int) -> bytes:
        return b"%d %s" % (number, _FILLING)

    def key(self, number: int) -> Key:
        digest = hashlib.blake2b(self.content(number), digest_size=32).hexdigest()
        name = f"project_{number % self.projects:07}-{number}.0-py3-none-any.whl"
        return Key(f"web/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{name}")

    def sha256(self, number: int) -> str:
        return hashlib.sha256(self.content(number)).hexdigest()

    def _pages(self, project: int) -> dict[Key, bytes]:
        files = [(number, self.key(number)) for number in self.of(project)]
        page = ProjectPage(
            name=self.name(project),
            api_version="1.4",
            serial=1,
            files=tuple(
                File(
                    filename=layout.filename(key),
                    url=layout.file_url(key, ""),
                    hashes={"sha256": self.sha256(number)},
                    size=len(self.content(number)),
                )
                for number, key in files
            ),
            publication=Publication(run=RunId("20260101T000000-1"), selection="", compressed=True),
        )
        body, html = render.project_page_json(page), render.project_page_html(page)
        forms = self.config.page_layout
        bodies = {forms.page(page.name, form): html for form in _FORMS}
        bodies[forms.manifest(page.name)] = body
        return {**bodies, forms.variant(forms.manifest(page.name)): gzipped.compress(body)}

    async def read(self, key: Key) -> Stored | None:
        if key.startswith(layout.FILES):
            self.requests["GET"] += 1
            body = self.content(int(layout.filename(key).split("-")[1].partition(".")[0]))
            return Stored(body, "")
        return await super().read(key)

    async def head(self, key: Key) -> Head | None:
        stored = await self.read(key)
        self.requests["GET"] -= 1
        self.requests["HEAD"] += 1
        return None if stored is None else Head(len(stored.body), stored.etag)

    async def stream(self, key: Key) -> Opened | None:
        self.requests["GET"] += 1
        path = self._path(key)
        return Opened(_chunks(path)) if path.exists() else None

    async def store(self, key: Key, stream: FileStream) -> None:
        self.requests["PUT"] += 1
        with self._path(key).open("wb") as file:
            async for chunk in stream.verified_chunks():
                self.bytes_ += len(chunk)
                if not key.startswith("web/"):
                    file.write(chunk)

    def _path(self, key: Key) -> Path:
        return self.folder / key.replace("/", "_")[-100:]

    def page_entries(self, project: int, prefix: str) -> Iterator[Entry]:
        forms, etag = self.config.page_layout, str(project in self.changed)
        keys = [forms.page(self.name(project), form) for form in _FORMS]
        keys.append(forms.variant(keys[-1]))
        for key in sorted(keys):
            if key.startswith(prefix):
                yield Entry(key, 1000, 0.0, etag)


async def _chunks(path: Path) -> AsyncGenerator[bytes, None]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


async def _known(before: Storage, source: Storage, salt: str) -> None:
    """Write what an earlier export has left: the destination is as `before`."""
    with tempfile.TemporaryFile() as file:
        lines = CatalogueWriter(file, CatalogueHead(_SOURCE, salt))
        for number in range(before.projects):
            project = cast("NormalizedName", before.name(number))
            entries = {entry.key: entry for entry in before.page_entries(number, "web/simple/")}
            ids = [
                file_id(salt, before.key(each), before.sha256(each))
                if number in before.changed
                else each.to_bytes(6, "big")  # nobody looks
                for each in before.of(number)
            ]
            found = fingerprint(entries, project, before.config.page_layout)
            lines.add(Known.of(project, found, ids))
        await catalogue.store(layout.exported(_PREVIOUS), file, source)
    export = Export(id=_PREVIOUS, sequence=1, previous=None, since=0, serial=1, created=0)
    exports = Exports(
        source=_SOURCE, sequence=1, exports={str(source.folder / "bundles"): (export,)}
    )
    source.state[layout.EXPORTS] = render_state(exports)
    imported = Imported(source=_SOURCE, id=_PREVIOUS, sequence=1, serial=1)
    before.state[layout.IMPORT] = render_state(imported)


class Measured:
    """Requests, seconds and memory of a block."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        storage.requests.clear()
        storage.bytes_ = 0
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak, from now on
        self._before = peak_memory()
        self._began, self._used = time.perf_counter(), time.process_time()

    def figures(self) -> dict[str, int]:
        return {
            **{verb: self._storage.requests[verb] for verb in ("LIST", "GET", "HEAD", "PUT")},
            "DELETE": self._storage.requests["DELETE"],
            "seconds": round(time.perf_counter() - self._began),
            "CPU seconds": round(time.process_time() - self._used),
            "stored MB": self._storage.bytes_ // 10**6,
            "peak MiB": peak_memory() // 1024**2,
            "MiB before": self._before // 1024**2,
        }


async def measure(projects: int, changes: int, folder: Path) -> dict[str, dict[str, int]]:
    config = loading.parse("[mirror]\nstorage-backend = s3\ndirectory = /bucket\n", {})
    changed = range(0, projects, max(1, projects // changes))[:changes]
    (folder / "source").mkdir()
    (folder / "target").mkdir()
    source = Storage(projects, config, range(0), folder / "source")
    target = Storage(projects, config, changed, folder / "target")
    source.prepare()
    target.state = {**source.state}
    mirrors = [
        Mirror.of(config, Clock(), cast("Upstream", None), storage, storage)
        for storage in (source, target)
    ]
    await _known(target, source, "ef" * 16)
    key = SigningKey.generate()
    measured = Measured(source)
    exporter = Exporter(mirrors[0], str(source.folder / "bundles"), key, 4 * 10**9)
    exported = await exporter.export(None)
    figures = {"export": measured.figures()}
    figures["export"]["changed"] = exported.head.changed
    volumes = sum(volume.size for volume in exported.head.volumes)
    figures["export"]["bundle MB"] = (volumes + exported.head.manifest_size) // 10**6
    measured = Measured(target)
    async with find_bundles(exported.location, config) as bundles:
        signed = [await read_signed(bundle, [key.public]) for bundle in bundles]
        changed_here = [head.changed async for head in import_bundles(signed, mirrors[1])]
    figures["import"] = {**measured.figures(), "changed": sum(changed_here)}
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.bundles", description=__doc__)
    parser.add_argument("--projects", type=int, default=740_000)
    parser.add_argument("--changes", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(options.projects, options.changes, Path(folder)))
    print(json.dumps(figures, indent=1))
    exported, imported = figures["export"], figures["import"]
    lists = 4 * options.projects / 1000
    return int(
        not exported["changed"] == imported["changed"] == options.changes
        or exported["LIST"] > lists + 20
        or exported["GET"] > 5 * options.changes + 50
        or imported["GET"] > 2 * options.changes + 50
        or imported["PUT"] > 7 * options.changes + 50
        or imported["LIST"] > 5 * options.changes + 50
        or max(exported["peak MiB"], imported["peak MiB"]) * 1024**2 > _LIMIT
    )


if __name__ == "__main__":
    sys.exit(main())
