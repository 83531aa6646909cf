"""The root index, against the pages that projects have."""

from __future__ import annotations

import asyncio
import zlib
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from frumious.auditing.headers_check import wrong_headers
from frumious.auditing.listing import folder_order, in_folder_order
from frumious.auditing.page_check import is_variant
from frumious.auditing.shard_check import check_shards
from frumious.errors import FrumiousError
from frumious.model.audits import Finding, Kind
from frumious.simple import gzipped, project_list, root_index
from frumious.simple.values import InvalidPage
from frumious.state.page_store import UnreadableManifest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.audits import NamedPage
    from frumious.model.pages import ListedProject, ProjectPage
    from frumious.model.types import Key
    from frumious.state.audit import AuditStore
    from frumious.storage.protocol import Stored

_PRIVATE = "_frumious"


async def check_root(batches: int, mirror: Mirror, store: AuditStore) -> list[Finding]:
    """Compare the root index with the pages that were checked, and its other pages with it.

    If it is missing or damaged, its compressed variant says which projects there should be.
    """
    key, stored = await mirror.pages.read_root_index()
    pages = _named_pages(batches, store)
    problem = "it is missing" if stored is None else _problem(key, stored.body)
    if problem:
        body = await _read_variant(mirror)
        if stored is None and body is None and await anext(pages, None) is None:
            return []  # there is no mirror yet
        found = [] if body is None else await _compare_entries(key, body, pages, mirror)
        return [Finding(Kind.WRONG_ROOT, key, detail=problem), *found]
    body, findings = b"", list[Finding]()
    if stored is not None:
        body = stored.body
        findings += _wrong_type(key, stored)
    stored = None  # it is large
    findings += await _compare_entries(key, body, pages, mirror)
    if key == mirror.pages.layout.root_manifest:
        findings += await _compare_pages(key, body, mirror)
        body = b""  # it is large
        findings += await check_shards(mirror)
    if (older := await is_outdated(mirror)) is not None:
        findings.append(older)
    return findings


async def is_outdated(mirror: Mirror) -> Finding | None:
    """Return a finding if the root index is not the last one that a finalizer has published.

    The cursor knows how many projects, files and bytes that lists. Together with the pages of
    projects, an older root index would otherwise look like a whole mirror.
    """
    try:
        cursor = await mirror.ledger.cursor()
    except FrumiousError:
        return None
    if cursor.projects is None or not cursor.files or cursor.runs:
        return None
    projects = files = bytes_ = 0
    with suppress(InvalidPage):  # that is found by itself
        for _, entry in await mirror.pages.listed_projects():
            projects, files, bytes_ = projects + 1, files + entry.files, bytes_ + entry.bytes_
    if (projects, files, bytes_) == (cursor.projects, cursor.files, cursor.bytes_):
        return None
    detail = (
        f"it lists {projects} projects with {files} files, and the last one that was published"
        f" {cursor.projects} with {cursor.files}: an older one was put back"
    )
    return Finding(Kind.OLD_ROOT, mirror.pages.layout.root_manifest, detail=detail)


async def restore_root(mirror: Mirror) -> None:
    """Write the JSON root index from its compressed variant if it is missing or damaged.

    A missing HTML page comes first: once the JSON page is stored, only a change of the mirror
    writes the others.

    Raises:
        Conflict: a finalizer has written it since.
    """
    key = mirror.pages.layout.root_manifest
    stored = await mirror.storage.read(key)
    if stored is not None and not _problem(key, stored.body):
        return
    body = await _read_variant(mirror)
    if body is None:
        return
    for page in mirror.pages.layout.root_html:
        if await mirror.storage.head(page) is None:
            await mirror.storage.create(page, await _render_html(key, body))
    if stored is None:
        await mirror.storage.create(key, body)
    else:
        await mirror.storage.write(key, body, replacing=stored.etag)


async def _read_variant(mirror: Mirror) -> bytes | None:
    """Return the compressed variant of the JSON root index as a page; None: there is none."""
    layout, key = mirror.pages.layout, mirror.pages.layout.root_manifest
    stored = await mirror.storage.read(layout.variant(key)) if layout.has_json_variants else None
    if stored is None:
        return None
    try:
        body = await asyncio.to_thread(gzipped.decompress, stored.body)
    except zlib.error:
        return None
    return None if _problem(key, body) else body


def _problem(key: Key, body: bytes) -> str:
    """Return why a page is no root index; empty: it is one."""
    try:
        root_index.meta(body, key)
        for _ in root_index.batches(body, key):
            pass
    except InvalidPage as error:
        return str(error)
    return ""


async def check_root_pages(mirror: Mirror) -> list[Finding]:
    """Compare the other pages of the root index and its shards with its JSON page."""
    key, stored = await mirror.pages.read_root_index()
    if stored is None:
        return [_wrong(key, None)]
    try:
        return [*await _compare_pages(key, stored.body, mirror), *await check_shards(mirror)]
    except InvalidPage as error:
        return [Finding(Kind.WRONG_ROOT, key, detail=str(error))]


async def _named_pages(batches: int, store: AuditStore) -> AsyncIterator[NamedPage]:
    for batch in range(batches):
        for page in await store.named_pages(batch):
            yield page


async def _compare_entries(
    key: Key, body: bytes, pages: AsyncIterator[NamedPage], mirror: Mirror
) -> list[Finding]:
    """Merge both lists, which are in the order of the projects' folders."""
    suspects: list[str] = []
    page = await anext(pages, None)
    for project, entry in _entries(body, key):
        while page is not None and folder_order(page.project) < folder_order(project):
            suspects += [page.project] if page.listed else []
            page = await anext(pages, None)
        if page is None or page.project != project:
            suspects.append(project)
            continue
        is_right = page.listed and (page.name, page.serial) == (entry.name, entry.serial)
        if page.name and not is_right:
            suspects.append(project)
        page = await anext(pages, None)
    while page is not None:
        suspects += [page.project] if page.listed else []
        page = await anext(pages, None)
    return await check_entries(cast("list[NormalizedName]", suspects), mirror)


def _entries(body: bytes, key: Key) -> Iterator[tuple[str, ListedProject]]:
    """Return the entries in the order of the projects' folders."""
    names = (project for project, _ in root_index.entries(body, key))
    if all(first < second for first, second in pairwise(names)):
        return in_folder_order(root_index.entries(body, key))
    return in_folder_order(sorted(root_index.entries(body, key)))  # another program wrote it


async def check_entries(suspects: Collection[NormalizedName], mirror: Mirror) -> list[Finding]:
    """Compare entries of the root index with pages as both are now.

    What a job of an open run has published gets into the root index once its result is read.
    """
    if not suspects:
        return []
    suspected, key = frozenset(suspects), mirror.pages.layout.root_manifest
    try:
        open_runs = {entry.run for entry in (await mirror.ledger.cursor()).runs}
    except FrumiousError:
        open_runs = set()
    _, stored = await mirror.pages.read_root_index()
    body = stored.body if stored is not None and not _problem(key, stored.body) else None
    body = await _read_variant(mirror) if body is None else body
    listed = () if body is None else root_index.entries(body, key)
    entries = {project: entry for project, entry in listed if project in suspected}
    findings: list[Finding] = []
    for project in sorted(suspected):
        try:
            manifest = await mirror.pages.read_manifest(project)
        except UnreadableManifest:
            continue  # as the check of pages has found
        page = manifest.page if manifest is not None else None
        if page is None or page.publication is None or page.publication.run not in open_runs:
            finding = _compare(key, project, page, entries.get(project), mirror)
            findings += [] if finding is None else [finding]
    return findings


def _compare(
    key: Key,
    project: NormalizedName,
    page: ProjectPage | None,
    entry: ListedProject | None,
    mirror: Mirror,
) -> Finding | None:
    if page is None:
        if entry is None:
            return None
        detail = "the root index lists it"
        return Finding(Kind.MISSING_PAGE, mirror.pages.layout.manifest(project), project, detail)
    if entry is None:
        unlisted = Finding(Kind.UNLISTED, key, project, f"it lacks {project!r}")
        return None if page.quarantined else unlisted
    if page.quarantined:
        return Finding(Kind.WRONG_ENTRY, key, project, f"{project!r} is in quarantine upstream")
    if (entry.name, entry.serial) != (page.name, page.serial):
        detail = f"serial {entry.serial} of {project!r}, but its page has {page.serial}"
        return Finding(Kind.WRONG_ENTRY, key, project, detail)
    return None


async def _compare_pages(key: Key, body: bytes, mirror: Mirror) -> list[Finding]:
    """Compare the HTML pages and the compressed variants with the JSON page."""
    pages, findings = mirror.pages.layout, list[Finding]()
    if pages.root_html:
        html = await _render_html(key, body)
        for page in pages.root_html:
            findings += await _compare_page(page, html, mirror)
        del html
    if pages.has_json_variants:
        findings += await _compare_page(key, _public(body, key), mirror, is_compared=False)
    return findings


async def _render_html(key: Key, body: bytes) -> bytes:
    return await asyncio.to_thread(lambda: root_index.html_page(root_index.batches(body, key)))


async def _compare_page(
    key: Key, body: bytes, mirror: Mirror, *, is_compared: bool = True
) -> list[Finding]:
    """Compare a page and its compressed variant with what they should be."""
    storage, pages = mirror.storage, mirror.pages.layout
    findings: list[Finding] = []
    if is_compared:
        stored = await storage.read(key)
        if stored is None or stored.body != body:
            findings.append(_wrong(key, stored))
        else:
            findings += _wrong_type(key, stored)
        stored = None  # it is large
    if pages.gzip:
        variant = pages.variant(key)
        stored = await storage.read(variant)
        if stored is None or not await asyncio.to_thread(is_variant, stored.body, body):
            findings.append(_wrong(variant, stored))
        else:
            findings += _wrong_type(variant, stored)
    return findings


def _public(body: bytes, key: Key) -> bytes:
    """Return the JSON page without its private part, as its variant has it."""
    meta = root_index.meta(body, key)
    meta.pop(_PRIVATE, None)
    serial = cast("int | None", meta.pop("_last-serial"))
    start = len(project_list.head(body)) - len(b"]}")
    return root_index.json_page(body[start - 1 : -1], serial, meta)


def _wrong_type(key: Key, stored: Stored) -> list[Finding]:
    detail = wrong_headers(key, stored.headers)
    return [Finding(Kind.WRONG_TYPE, key, detail=detail)] if detail else []


def _wrong(key: Key, stored: Stored | None) -> Finding:
    detail = "it is missing" if stored is None else "it is not what the JSON page says"
    return Finding(Kind.WRONG_ROOT, key, detail=detail)
