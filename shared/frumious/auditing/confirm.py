"""Suspicions become findings only after a second look: jobs may have changed the mirror since.

A listing is older than the pages that were read after it, or newer. What is suspected is looked at
by itself, right before it is reported, repaired or deleted.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import msgspec

from frumious.auditing.headers_check import wrong_headers
from frumious.auditing.listing import objects_of
from frumious.auditing.page_check import check_pages
from frumious.auditing.records import key_hash
from frumious.concurrency import in_groups
from frumious.model import layout
from frumious.model.audits import Finding, Kind
from frumious.model.blobs import keys_of, readable_files
from frumious.model.checksums import FileStream, WrongBytes
from frumious.selection.filenames import owners_of
from frumious.state.page_store import UnreadableManifest
from frumious.state.removed_files import read_removed_files

if TYPE_CHECKING:
    from collections.abc import (
        Awaitable,
        Callable,
        Collection,
        Mapping,
        Sequence,
    )

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.blobs import Blob
    from frumious.model.headers import Headers
    from frumious.model.types import Key
    from frumious.storage.protocol import Opened

    OnChunk = Callable[[int], Awaitable[None]]

_AT_ONCE: Final = 32
_HASHED_HERE: Final = 64 * 1024  # bytes of a chunk; a larger one is hashed in a thread
_MAX_OWNERS: Final = 8  # projects that a file's name allows; a file of more is kept
_SETTLED: Final = 3.0  # seconds in which a job writes all pages of a project


async def confirm_pages(projects: Collection[NormalizedName], mirror: Mirror) -> list[Finding]:
    """Check the pages of projects again, after a pause in which a job would finish them."""
    if not projects:
        return []
    await mirror.clock.sleep(_SETTLED)

    async def check(project: NormalizedName) -> Sequence[Finding]:
        objects = await objects_of(project, mirror)
        return (await check_pages(objects, mirror, deep=True)).findings

    return [finding for found in await in_groups(map(check, sorted(projects))) for finding in found]


async def confirm_files(
    suspects: Mapping[NormalizedName, Collection[bytes]], mirror: Mirror
) -> list[Finding]:
    """Look at the objects that pages name, by their hashes in records: page first, then object."""

    async def check(project: NormalizedName) -> list[Finding]:
        blobs = await named_blobs(project, mirror)
        wanted = [blob for key, blob in blobs.items() if key_hash(key) in suspects[project]]
        found = await in_groups(check_blob(project, blob, mirror) for blob in wanted)
        return [finding for finding in found if finding is not None]

    return [finding for found in await in_groups(map(check, sorted(suspects))) for finding in found]


async def named_blobs(project: NormalizedName, mirror: Mirror) -> dict[Key, Blob]:
    """Return what a project's page names now."""
    try:
        manifest = await mirror.pages.read_manifest(project)
        page = manifest.page if manifest is not None else None
    except UnreadableManifest:
        page = None
    page = page or await mirror.pages.read_first_page(project)
    files = readable_files(project, page) or ()
    return {blob.key: blob for each in files for blob in each.blobs}


async def check_blob(
    project: NormalizedName, blob: Blob, mirror: Mirror, *, deep: bool = False
) -> Finding | None:
    """Return what is wrong with an object that a page names; with `deep`, read all of it."""
    head = await mirror.storage.head(blob.key)
    if head is None:
        return Finding(_missing(blob), blob.key, project)
    expected = blob.expected
    if expected is not None and expected.size not in {None, head.size}:
        detail = f"{head.size} bytes instead of {expected.size}"
        return Finding(Kind.WRONG_SIZE, blob.key, project, detail)
    if deep:
        return await read_blob(project, blob, mirror)
    sha256 = head.sha256 if expected is None else expected.sha256
    if None not in {head.sha256, sha256} and head.sha256 != sha256:
        return Finding(_wrong(blob), blob.key, project, f"its sha256 is {head.sha256}")
    return _check_headers(project, blob.key, head.headers)


async def read_blob(
    project: NormalizedName, blob: Blob, mirror: Mirror, on_chunk: OnChunk | None = None
) -> Finding | None:
    """Read all bytes of an object that a page names, and return what is wrong with it."""
    opened = await mirror.storage.stream(blob.key)
    if opened is None:
        return Finding(_missing(blob), blob.key, project)

    expected, size = blob.expected, 0
    async with aclosing(opened.chunks) as chunks:
        if expected is None:
            return await _check_provenance(project, blob.key, opened)
        file = FileStream(chunks, expected, "the mirror")
        try:
            async for chunk in chunks:
                size += len(chunk)
                if len(chunk) > _HASHED_HERE:
                    await asyncio.to_thread(file.update, chunk)
                else:
                    file.update(chunk)
                if on_chunk is not None:
                    await on_chunk(len(chunk))
            file.finish()
        except WrongBytes:
            if expected.size not in {None, size}:
                return Finding(Kind.WRONG_SIZE, blob.key, project)
            detail = f"its {expected.algorithm} is not {expected.digest}"
            return Finding(_wrong(blob), blob.key, project, detail)
    return _check_headers(project, blob.key, opened.headers)


def _check_headers(project: NormalizedName, key: Key, headers: Headers | None) -> Finding | None:
    detail = wrong_headers(key, headers)
    return Finding(Kind.WRONG_TYPE, key, project, detail) if detail else None


async def _check_provenance(project: NormalizedName, key: Key, opened: Opened) -> Finding | None:
    """Read provenance, of which nothing says what it must be but that it is an object of JSON."""
    body = b"".join([chunk async for chunk in opened.chunks])
    try:
        msgspec.json.decode(body, type=dict[str, Any])
    except ValueError as error:
        return Finding(Kind.WRONG_PROVENANCE, key, project, str(error))
    return _check_headers(project, key, opened.headers)


async def confirm_orphans(keys: Collection[Key], mirror: Mirror) -> list[Finding]:
    """Return which files no page names, of no project to which they can belong by their names.

    Files that a snapshot shows, or that wait for their deletion, are none. Of files whose names
    allow many projects, and of projects whose page cannot be read, nobody can say it.
    """
    known = _KnownKeys(mirror)
    found = await in_groups(_orphan(key, known) for key in sorted(keys))
    return [finding for finding in found if finding is not None]


async def _orphan(key: Key, known: _KnownKeys) -> Finding | None:
    if key.startswith(layout.PROVENANCE):
        owners = [part for part in key.split("/")[2:3] if layout.is_project(part)]
    else:
        owners = [*owners_of(layout.filename(key).removesuffix(".metadata"))]
    if not owners or len(owners) > _MAX_OWNERS:
        return Finding(Kind.LEFTOVER, key, detail="its name does not say whose file it is")
    for owner in owners:
        keys = await known.of(owner)
        if keys is None or key in keys:
            return None
    return Finding(Kind.ORPHAN, key, min(owners) if len(owners) == 1 else "")


class _KnownKeys:
    """The keys that a project's pages name or that wait for deletion, each read once in a row."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._keys: dict[str, frozenset[Key] | None] = {}

    async def of(self, project: str) -> frozenset[Key] | None:
        """Return the keys; None: the project's page cannot be read."""
        if project not in self._keys:
            if len(self._keys) >= _AT_ONCE:
                self._keys.clear()
            self._keys[project] = await self._read(project)  # type: ignore[arg-type]
        return self._keys[project]

    async def _read(self, project: NormalizedName) -> frozenset[Key] | None:
        pages = self._mirror.pages
        try:
            page = await pages.read_page(project)
        except UnreadableManifest:
            return None
        files = readable_files(project, page)
        if files is None:
            return None
        shown = await pages.snapshots.shown_keys(project)
        if shown is None:
            return None
        removed, _ = await read_removed_files(project, self._mirror.storage)
        return keys_of(files) | shown | removed.undeleted


def _missing(blob: Blob) -> Kind:
    if blob.expected is None:
        return Kind.MISSING_PROVENANCE
    return Kind.MISSING_METADATA if _is_metadata(blob) else Kind.MISSING_FILE


def _wrong(blob: Blob) -> Kind:
    return Kind.WRONG_METADATA if _is_metadata(blob) else Kind.WRONG_HASH


def _is_metadata(blob: Blob) -> bool:
    return blob.key.endswith(".metadata")  # no file's name may
