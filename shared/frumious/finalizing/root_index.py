"""The mirror's own root index: what jobs changed is merged into it.

The JSON page is the list; the HTML pages follow from it. Reading, merging and writing is one pass
over the page, however few projects changed, and never holds all projects as objects.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from frumious.finalizing.root_shards import (
    NextIndex,
    ShardsOvertaken,
    noting_overtaken,
    restore_shards,
    update_shards,
)
from frumious.model import layout
from frumious.simple import gzipped, root_index
from frumious.simple.values import InvalidPage
from frumious.state.objects import set_aside
from frumious.storage.protocol import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.model.pages import DelistedProject, ListedProject
    from frumious.model.types import Json, JsonObject, Key
    from frumious.simple.project_list import Batch
    from frumious.state.page_store import PageStore
    from frumious.storage.protocol import Storage, Stored

logger = logging.getLogger(__name__)

_PRIVATE = "_frumious"  # in `meta`; a leading underscore, as PEP 691 has it
_ALL_HTML = (layout.root_page(layout.HTML), layout.root_page(layout.V1_HTML))


@dataclass(frozen=True, slots=True)
class Totals:
    """What the mirror holds, by its root index."""

    projects: int
    files: int
    bytes_: int


async def root_index_etag(pages: PageStore) -> str | None:
    """Return the ETag of the JSON page; None: there is none at its configured key."""
    return await _etag(pages.layout.root_manifest, pages.storage)


async def read_totals(pages: PageStore) -> Totals:
    """Count what the root index lists; nothing, if it is damaged."""
    projects = files = bytes_ = 0
    with suppress(InvalidPage):
        for _, project in await pages.listed_projects():
            projects += 1
            files += project.files
            bytes_ += project.bytes_
    return Totals(projects, files, bytes_)


async def publish_root_index(  # noqa: PLR0913 (what it is made of)
    changes: Mapping[NormalizedName, ListedProject | DelistedProject],
    serial: int | None,
    pages: PageStore,
    *,
    resets: int = 0,
    replacing: str | None,
    verify: bool = True,
) -> Totals:
    """Merge changes into the root index; the JSON page last, as it is what the mirror reads.

    Neither the page's serial nor a project's goes backwards, unless the mirror counts anew: the
    page knows `resets`, how often it did. Nothing is written where nothing
    changes, and the HTML pages only where a name does, or where they are not those that were
    written with the JSON page: one is missing, or a finalizer died or was overtaken in between.
    Compressed variants are written with their pages, that of the JSON page first of all.
    `replacing` is the JSON page's ETag from before the changes were known. A damaged page is made
    again from the projects that have a page; their serials come with their next jobs.
    The shards are published before the JSON page as well; with `verify`, all that are not right.

    Without `verify` the other pages are taken for those that were written with the JSON page.
    The first of them is replaced only if it is the recorded one. A finalizer that was killed or
    overtaken has written it before all others, so that there is a conflict; then all are verified.

    Raises:
        Conflict: another finalizer has written the root index since.
    """
    overtaken, message = False, ""
    for all_shards in (True,) if verify else (False, True):
        verifies = all_shards or not pages.layout.has_json_variants
        try:
            return await _publish(
                changes, serial, pages, resets, replacing, verify=verifies, all_shards=all_shards
            )
        except Conflict as error:
            logger.info("a page of the root index is not the one that was expected")
            overtaken, message = overtaken or isinstance(error, ShardsOvertaken), str(error)
    if overtaken:
        await restore_shards(pages)
    raise Conflict(message)


async def _publish(  # noqa: PLR0913 (as above)
    changes: Mapping[NormalizedName, ListedProject | DelistedProject],
    serial: int | None,
    pages: PageStore,
    resets: int,
    replacing: str | None,
    *,
    verify: bool,
    all_shards: bool,
) -> Totals:
    storage = pages.storage
    key, html_keys = pages.layout.root_manifest, pages.layout.root_html
    variants = pages.layout.root_variants
    stored_at, stored = await pages.read_root_index()
    if (stored.etag if stored is not None and stored_at == key else None) != replacing:
        msg = f"{key!r} was replaced by another finalizer"
        raise Conflict(msg)
    others = (*html_keys, *variants)
    etags = {} if verify else _recorded_etags(stored_at, stored, others)
    etags = etags or {each: await _etag(each, storage) for each in others}
    merge = _Merge(changes)
    before, projects = await _merge(merge, stored_at, stored, pages)
    stored = None  # it is large
    serial, resets = before.counting(serial, resets)
    numbers = {"resets": resets, "shards": pages.root_shards}
    outdated = [*etags.values()] != before.etags or None in etags.values()

    def is_new() -> bool:
        page = _json_page(projects, serial, before, etags, numbers)
        return stored_at != key or _digest(page) != before.digest

    renders_html = bool(html_keys) and (outdated or merge.names_changed)
    writes = renders_html or is_new()
    if writes and pages.layout.has_json_variants:
        # Without the private part, which says whether this is the variant of the page.
        page = await _compress(root_index.json_page(projects, serial, before.meta))
        variant = pages.layout.variant(key)
        etags[variant] = await _write(variant, page, etags[variant], storage)
        del page
    if outdated and not html_keys:
        await storage.delete(_ALL_HTML)
    elif renders_html:
        html = await _render_html(projects, serial, before, key)
        etags |= await _write_all(html_keys, html, etags, storage)
        html_variants = [pages.layout.variant(each) for each in html_keys if variants]
        html = await _compress(html) if html_variants else b""  # it is large, as is all here
        etags |= await _write_all(html_variants, html, etags, storage)
        del html
    if renders_html:
        writes = is_new()  # perhaps only an HTML page was missing
    trusts_shards = before.shards == pages.root_shards and not all_shards
    has_shards = bool(before.shards or pages.root_shards) and (writes or not trusts_shards)
    with noting_overtaken(written=has_shards):
        if has_shards:
            after = NextIndex(changes, projects, serial, merge.totals.projects)
            await update_shards(after, pages, trusted=trusts_shards)
        if writes:
            page = _json_page(projects, serial, before, etags, numbers)
            await _write(key, page, before.etag if stored_at == key else None, storage)
    await _delete_former(pages)
    return merge.totals


async def _delete_former(pages: PageStore) -> None:
    """Delete what only earlier layouts have of the root index."""
    former = {
        key
        for each in await pages.former_layouts()
        for key in (each.root_manifest, *each.root_variants)
    } - {pages.layout.root_manifest, *pages.layout.root_variants}
    if former:
        await pages.storage.delete(sorted(former))


def _recorded_etags(
    key: Key, stored: Stored | None, others: Sequence[Key]
) -> dict[Key, str | None]:
    """Return the ETags of what was written with the JSON page; nothing if it does not say."""
    if stored is None:
        return {}
    with suppress(InvalidPage):
        etags = _private(root_index.meta(stored.body, key)).get("html")
        if isinstance(etags, list) and len(etags) == len(others):
            return {
                each: etag if isinstance(etag, str) else None
                for each, etag in zip(others, etags, strict=True)
            }
    return {}


async def _merge(
    merge: _Merge, key: Key, stored: Stored | None, pages: PageStore
) -> tuple[_Before, bytes]:
    """Return what is needed of the page that is replaced, and the list after the changes."""
    if stored is None:
        return _Before(), await asyncio.to_thread(merge.render, tuple)
    body = stored.body
    try:
        before = _Before.of(key, stored)
        projects = await asyncio.to_thread(
            merge.render, lambda: root_index.batches(body, key), as_stored=before.etags is not None
        )
    except InvalidPage as error:
        await set_aside(key, stored, error, pages.storage)
        listed = await pages.projects_with_pages()
        before = _Before(stored.etag)
        projects = await asyncio.to_thread(merge.render, lambda: root_index.batched(listed))
    return before, projects


@dataclass(frozen=True, slots=True)
class _Before:
    """What is needed of the page that is replaced, without the page."""

    etag: str | None = None  # None: there is none
    digest: bytes = b""
    serial: int | None = None
    meta: Mapping[str, Json] = field(default_factory=dict)  # but for the private part
    etags: Json = None  # of the HTML pages and the variants that were written with it
    resets: int = 0
    shards: int = 0  # that were written with it

    @classmethod
    def of(cls, key: Key, stored: Stored) -> _Before:
        meta = root_index.meta(stored.body, key)
        private = _private(meta)
        meta.pop(_PRIVATE, None)
        resets, shards = private.get("resets", 0), private.get("shards", 0)
        return cls(
            stored.etag,
            _digest(stored.body),
            cast("int | None", meta.pop("_last-serial")),
            meta,
            private.get("html"),
            resets if isinstance(resets, int) else 0,
            shards if isinstance(shards, int) else 0,
        )

    def counting(self, serial: int | None, resets: int) -> tuple[int | None, int]:
        """Return the next page's serial and resets; it keeps these until there is a new serial."""
        if serial is None or resets == self.resets:
            return _later(self.serial, serial), self.resets
        return serial, resets


def _private(meta: JsonObject) -> JsonObject:
    private = meta.get(_PRIVATE)
    return private if isinstance(private, dict) else {}


class _Merge:
    """One pass over the projects, and what it counts on the way."""

    def __init__(self, changes: Mapping[NormalizedName, ListedProject | DelistedProject]) -> None:
        self._changes = changes
        self.totals = Totals(0, 0, 0)
        self.names_changed = False

    def render(self, listed: Callable[[], Iterable[Batch]], *, as_stored: bool = False) -> bytes:
        """Render the list of projects after the changes, as `root_index.json_projects` does."""
        try:
            return root_index.json_projects(self._counted(listed()), as_stored=as_stored)
        except root_index.NotSorted:  # another program wrote it
            in_order = sorted(dict(item for batch in listed() for item in batch.items()).items())
            return root_index.json_projects(self._counted(root_index.batched(in_order)))

    def _counted(self, listed: Iterable[Batch]) -> Iterator[Batch]:
        """Merge, count, and find out whether names change."""
        projects = files = bytes_ = 0
        self.names_changed = False
        for batch, names_changed in root_index.merge(listed, self._changes):
            self.names_changed |= names_changed
            projects += len(batch.entries)
            for entry in batch.entries:
                files += entry.stored[0]
                bytes_ += entry.stored[1]
            yield batch
        self.totals = Totals(projects, files, bytes_)


def _json_page(
    projects: bytes,
    serial: int | None,
    before: _Before,
    etags: Mapping[Key, str | None],
    numbers: Mapping[str, int],
) -> bytes:
    private: dict[str, Json] = {"html": [*etags.values()]}
    private |= {name: number for name, number in numbers.items() if number}
    return root_index.json_page(projects, serial, {**before.meta, _PRIVATE: private})


async def _compress(page: bytes) -> bytes:
    return await asyncio.to_thread(gzipped.compress, page)


async def _render_html(projects: bytes, serial: int | None, before: _Before, key: Key) -> bytes:
    page = root_index.json_page(projects, serial, before.meta)
    return await asyncio.to_thread(lambda: root_index.html_page(root_index.batches(page, key)))


def _later(serial: int | None, other: int | None) -> int | None:
    return max((one for one in (serial, other) if one is not None), default=None)


def _digest(page: bytes) -> bytes:
    return hashlib.sha256(page).digest()


async def _etag(key: Key, storage: Storage) -> str | None:
    head = await storage.head(key)
    return None if head is None else head.etag


async def _write_all(
    keys: Iterable[Key], page: bytes, etags: Mapping[Key, str | None], storage: Storage
) -> dict[Key, str | None]:
    return {key: await _write(key, page, etags[key], storage) for key in keys}


async def _write(key: Key, page: bytes, etag: str | None, storage: Storage) -> str:
    """Write a page over exactly the one that was read."""
    if etag is None:
        return await storage.create(key, page)
    return await storage.write(key, page, replacing=etag)
