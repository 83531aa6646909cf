"""What a mirror has that a destination lacks: its listing, against what the destination has.

A serial is not enough to see a change: pages also change with the configuration, and with what
upstream counts no serial for. Listings show every page that was written.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from frumious.auditing.listing import ProjectObjects, all_projects, folder_order, objects_of
from frumious.bundles.catalogue import Known, file_id
from frumious.bundles.errors import NotExported
from frumious.bundles.manifest import is_page, site_keys
from frumious.concurrency import run_all
from frumious.model import layout
from frumious.model.blobs import mirrored_files
from frumious.simple import parse_html
from frumious.simple.values import InvalidPage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.blobs import Blob
    from frumious.model.page_layout import PageLayout
    from frumious.model.types import Key
    from frumious.storage.protocol import Entry

_ATTEMPTS: Final = 4  # to read a project that changes
_PAUSE: Final = 0.5  # seconds
_AHEAD: Final = 16  # projects that are read at the same time


@dataclass(frozen=True, slots=True)
class NewFile:
    """A blob that the destination lacks; its size is None where nobody has stated it."""

    blob: Blob
    size: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """What a destination lacks of a project."""

    known: Known  # what it has afterwards
    pages: Mapping[Key, bytes]  # the manifest last
    files: tuple[NewFile, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A project, in the order of the folders."""

    project: NormalizedName
    known: Known | None  # what the destination has; None: nothing
    change: Change | None = None
    removed: bool = False
    problem: str = ""  # why it is left out, although it has changed


async def find_changes(
    mirror: Mirror, known: AsyncIterator[Known], salt: str, after: str = ""
) -> AsyncGenerator[Step, None]:
    """Yield all projects that the mirror or the destination has, behind `after`.

    Changed ones are read a few at a time, and yielded in order.
    """
    pending: deque[asyncio.Task[Step]] = deque()
    try:
        async with aclosing(_pairs(mirror, known, after)) as pairs:
            async for objects, before in pairs:
                pending.append(asyncio.create_task(_step(objects, before, salt, mirror)))
                if len(pending) > _AHEAD:
                    yield await pending.popleft()
        while pending:
            yield await pending.popleft()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def read_step(
    project: NormalizedName, known: Known | None, salt: str, mirror: Mirror
) -> Step:
    """Read a project once more: it has changed since it was yielded."""
    return await _step(await objects_of(project, mirror), known, salt, mirror)


async def _pairs(
    mirror: Mirror, known: AsyncIterator[Known], after: str
) -> AsyncGenerator[tuple[ProjectObjects, Known | None], None]:
    """Merge what is stored with what the destination has; either may lack a project."""
    before = await _next(known)
    while before is not None and after and folder_order(before.project) <= folder_order(after):
        before = await _next(known)
    async with aclosing(all_projects(mirror, after=after)) as stored:
        async for objects in stored:
            order = folder_order(objects.project)
            while before is not None and folder_order(before.project) < order:
                yield ProjectObjects(before.project, {}), before
                before = await _next(known)
            if before is not None and before.project == objects.project:
                yield objects, before
                before = await _next(known)
            else:
                yield objects, None
    while before is not None:
        yield ProjectObjects(before.project, {}), before
        before = await _next(known)


async def _next(known: AsyncIterator[Known]) -> Known | None:
    return await anext(known, None)


async def _step(objects: ProjectObjects, known: Known | None, salt: str, mirror: Mirror) -> Step:
    project, page_layout = objects.project, mirror.pages.layout
    try:
        for attempt in range(_ATTEMPTS):
            if attempt:
                await mirror.clock.sleep(_PAUSE * attempt)
                objects = await objects_of(project, mirror)
            if page_layout.manifest(project) not in objects.entries:
                return Step(project, known, removed=known is not None)
            listed = fingerprint(objects.entries, project, page_layout)
            if known is not None and known.fingerprint == listed:
                return Step(project, known)
            change = await _read(objects, listed, known, salt, mirror)
            if change is not None:
                return Step(project, known, change)
    except (InvalidPage, layout.UnsafeName) as error:
        return Step(project, known, problem=f"{error}; 'frumious verify --repair' repairs it")
    return Step(project, known, problem="its pages change again and again; the next time has it")


async def _read(
    objects: ProjectObjects, listed: str, known: Known | None, salt: str, mirror: Mirror
) -> Change | None:
    """Read a project's pages; None: another process is just writing them."""
    project, page_layout, storage = objects.project, mirror.pages.layout, mirror.storage
    manifest = await mirror.pages.read_manifest(project)
    if manifest is None or manifest.key != page_layout.manifest(project):
        return None
    keys = [key for key in sorted(objects.entries) if is_page(key, project, page_layout)]
    keys.remove(manifest.key)
    stored = await run_all(storage.read(key) for key in keys)
    now = await storage.head(manifest.key)
    if now is None or now.etag != manifest.stored.etag or None in stored:
        return None
    pages = {key: each.body for key, each in zip(keys, stored, strict=True) if each is not None}
    files = mirrored_files(project, manifest.page)
    names = {each.file.filename for each in files}
    for key in (page_layout.page(project, form) for form in (layout.HTML, layout.V1_HTML)):
        if key in pages and not _names(pages[key], key, project) <= names:
            return None  # HTML is written before the manifest
    had = known.ids if known is not None else frozenset()
    ids: set[bytes] = set()
    new: list[NewFile] = []
    for each in files:
        for blob in each.blobs:
            entry = objects.entries.get(blob.key) if blob.expected is None else None
            digest = blob.expected.digest if blob.expected is not None else _identity(entry)
            own = file_id(salt, blob.key, digest)
            ids.add(own)
            if own not in had:
                new.append(NewFile(blob, each.file.size if blob.key == each.key else None))
    pages[manifest.key] = manifest.stored.body
    return Change(Known.of(project, listed, ids), pages, tuple(new))


async def read_site(mirror: Mirror) -> dict[Key, bytes]:
    """Read the root index, the status and the list of builds, all of the same time.

    Pages that are read later are as new as the root index, or newer.
    """
    page_layout, storage = mirror.pages.layout, mirror.storage
    for attempt in range(_ATTEMPTS):
        await mirror.clock.sleep(_PAUSE * attempt)
        root = await storage.read(page_layout.root_manifest)
        objects: dict[Key, bytes] = {}
        for key in site_keys(page_layout):
            stored = root if key == page_layout.root_manifest else await storage.read(key)
            if stored is not None:
                objects[key] = stored.body
        now = await storage.head(page_layout.root_manifest)
        if (root and root.etag) == (now and now.etag):
            return objects
    msg = "the root index changes again and again; try again"
    raise NotExported(msg)


def _names(page: bytes, key: Key, project: NormalizedName) -> frozenset[str]:
    parsed = parse_html.project_page(page, f"/{key}", project)
    return frozenset(file.filename for file in parsed.page.files)


def fingerprint(
    entries: Mapping[Key, Entry], project: NormalizedName, page_layout: PageLayout
) -> str:
    """Identify what a listing has of a project's pages and provenance."""
    digest = hashlib.blake2b(digest_size=12)
    for key, entry in sorted(entries.items()):
        if is_page(key, project, page_layout) or layout.is_provenance_key(key, project):
            digest.update(f"{key}\0{_identity(entry)}\n".encode())
    return digest.hexdigest()


def _identity(entry: Entry | None) -> str:
    return "" if entry is None else f"{entry.size} {entry.etag or entry.modified}"
