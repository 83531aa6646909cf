"""Create a mirror in a folder, for web servers."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from msgspec.structs import replace
from packaging.utils import canonicalize_name

from frumious.model import layout
from frumious.model.page_layout import Gzip, PageLayout
from frumious.model.pages import File, ListedProject, ProjectPage
from frumious.model.root_shards import HEAD
from frumious.model.types import Key
from frumious.simple import gzipped, render, root_index
from frumious.simple.root_shards import Shards
from frumious.storage.filesystem.storage import FilesystemStorage

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.utils import NormalizedName

    from tests.upstream import Dist

PROVENANCE = Key("web/integrity/needy/1.0/needy-1.0-py3-none-any.whl/provenance")
LEGACY_JSON = Key("web/pypi/needy/json")


def write_mirror(folder: Path, dists: list[Dist], *, hash_index: bool) -> dict[str, Key]:
    """Write a mirror of the distributions; return each file's key by its filename.

    A file was uploaded in the month of its major version: 1.0 in January.
    """
    keys: dict[str, Key] = {}
    projects: dict[NormalizedName, ProjectPage] = {}
    bodies: dict[Key, bytes] = {
        PROVENANCE: b"{}",
        LEGACY_JSON: b"{}",
        layout.STATUS: b"7",
        layout.CURSOR: b"{}",
        layout.STATUS_JSON: b"{}",
        layout.LAST_MODIFIED: b"20260101T00:00:00\n",
    }
    for dist in dists:
        file, key = _file(dist)
        keys[dist.filename] = key
        bodies[key] = dist.content
        if dist.core_metadata is not None:
            bodies[layout.metadata_key(key)] = dist.core_metadata
        name = canonicalize_name(dist.project)
        page = projects.get(name, ProjectPage(name=dist.project, api_version="1.0", serial=7))
        projects[name] = replace(page, files=(*page.files, file))
    pages = PageLayout(hashed=hash_index, gzip=Gzip.SUFFIX)
    for name, page in projects.items():
        html = render.project_page_html(page)
        for form in (layout.HTML, layout.V1_HTML):
            bodies[pages.page(name, form)] = html
        key = pages.manifest(name)
        bodies[key] = render.project_page_json(page)
        bodies[pages.variant(key)] = gzipped.compress(bodies[key])
    items = [(name, ListedProject(page.name, 7)) for name, page in sorted(projects.items())]
    listed = list(root_index.batched(items))
    html = root_index.html_page(listed)
    bodies |= dict.fromkeys(pages.root_html, html)
    bodies[pages.root_manifest] = root_index.json_page(root_index.json_projects(listed), 7, {})
    shards = Shards(listed, 16)
    bodies |= {HEAD: shards.head(7), **dict(shards.pages())}
    for key in (*pages.root_html, pages.root_manifest):
        bodies[pages.variant(key)] = gzipped.compress(bodies[key])
    asyncio.run(_write(folder, bodies))
    return keys


async def _write(folder: Path, bodies: dict[Key, bytes]) -> None:
    storage = FilesystemStorage(folder)
    for key, body in bodies.items():
        await storage.write(key, body)


def _file(dist: Dist) -> tuple[File, Key]:
    digest = hashlib.blake2b(dist.content, digest_size=32).hexdigest()
    file = File(
        filename=dist.filename,
        url=f"https://upstream.example/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{dist.filename}",
        hashes={"sha256": hashlib.sha256(dist.content).hexdigest()},
        size=len(dist.content),
        upload_time=f"2026-0{dist.version[0]}-05T00:00:00Z",
        core_metadata=False
        if dist.core_metadata is None
        else {"sha256": hashlib.sha256(dist.core_metadata).hexdigest()},
    )
    key = layout.file_key(file)
    return replace(file, url=layout.file_url(key, "")), key
