"""The mirror's own root index: what runs changed is merged into it.

The JSON page is the list; the HTML pages follow from it. Reading, merging and writing is one pass
over the page, however few projects changed, and never holds all projects as objects.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from frumious.model import layout
from frumious.simple import root_index
from frumious.state.root_index_reader import read_root_index
from frumious.storage.protocol import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.pages import DelistedProject, ListedProject
    from frumious.model.types import Json, Key
    from frumious.storage.protocol import Stored

_PRIVATE = "_frumious"  # in `meta`; a leading underscore, as PEP 691 has it
_EVERY_HTML = (layout.root_page(layout.HTML), layout.root_page(layout.V1_HTML))


@dataclass(frozen=True, slots=True)
class Totals:
    """What the mirror holds, as its root index has it."""

    projects: int
    files: int
    bytes_: int


async def root_index_tag(mirror: Mirror) -> str | None:
    """Return the tag of the JSON page where it is to be now; None: it is not there."""
    return await _tag(mirror.pages.root_books, mirror)


async def publish_root_index(
    changes: Mapping[NormalizedName, ListedProject | DelistedProject],
    serial: int | None,
    mirror: Mirror,
    *,
    replacing: str | None,
) -> Totals:
    """Merge changes into the root index; the JSON page last, as it is what the mirror reads.

    Neither the page's serial nor a project's goes backwards. Nothing is written where nothing
    changes, and the HTML pages only where a name does, or where they are not those that were
    written with the JSON page: one is missing, or a finalizer died or was overtaken in between.
    `replacing` is the JSON page's tag when the changes were not yet known.

    Raises:
        Conflict: somebody else wrote the root index since.
        InvalidPage: what is stored is no root index.
    """
    here, html_keys = mirror.pages.root_books, mirror.pages.root_html
    key, stored = await read_root_index(mirror)
    if (stored.etag if stored is not None and key == here else None) != replacing:
        msg = f"{here!r} was replaced by another finalizer"
        raise Conflict(msg)
    tags = [await _tag(key, mirror) for key in html_keys]
    before = _Before.of(key, stored)
    merging = _Merging(key, changes)
    projects = await asyncio.to_thread(merging.render, b"" if stored is None else stored.body)
    stored = None  # it is large, as is everything here
    serial = _later(before.serial, serial)
    if tags != before.html_tags or None in tags or (merging.names_changed and html_keys):
        tags = await _publish_html(projects, serial, before, tags, mirror)
    page = root_index.json_page(projects, serial, {**before.meta, _PRIVATE: {"html": [*tags]}})
    if key != here:
        await mirror.storage.create(here, page)
    elif _digest(page) != before.digest:
        await _write(here, page, before.tag, mirror)
    left = {pages.root_books for pages in await mirror.former_pages()} - {here}
    if left:
        await mirror.storage.delete(sorted(left))
    return merging.totals


async def _publish_html(
    projects: bytes,
    serial: int | None,
    before: _Before,
    tags: Sequence[str | None],
    mirror: Mirror,
) -> list[str | None]:
    """Write the HTML pages, or delete them where readers get JSON alone; return their tags."""
    keys = mirror.pages.root_html
    if not keys:
        await mirror.storage.delete(_EVERY_HTML)
        return []
    page = root_index.json_page(projects, serial, before.meta)
    html = await asyncio.to_thread(_html, page, mirror.pages.root_books)
    return [await _write(key, html, tag, mirror) for key, tag in zip(keys, tags, strict=True)]


@dataclass(frozen=True, slots=True)
class _Before:
    """What is to be known of the page that is replaced, without the page."""

    tag: str | None = None  # None: there is none
    digest: bytes = b""
    serial: int | None = None
    meta: Mapping[str, Json] = field(default_factory=dict)  # but for the private part
    html_tags: Json = None

    @classmethod
    def of(cls, key: Key, stored: Stored | None) -> _Before:
        if stored is None:
            return cls()
        meta = root_index.meta(stored.body, key)
        private = meta.pop(_PRIVATE, None)
        return cls(
            stored.etag,
            _digest(stored.body),
            cast("int | None", meta.pop("_last-serial")),
            meta,
            private.get("html") if isinstance(private, dict) else None,
        )


class _Merging:
    """One pass over the projects, and what was seen on the way."""

    def __init__(
        self, key: Key, changes: Mapping[NormalizedName, ListedProject | DelistedProject]
    ) -> None:
        self._key = key
        self._changes = changes
        self.totals = Totals(0, 0, 0)
        self.names_changed = False

    def render(self, body: bytes) -> bytes:
        """Render the list of projects after the changes."""
        listed = root_index.entries(body, self._key) if body else iter(())
        try:
            return root_index.json_projects(self._seen(listed))
        except root_index.NotInOrder:  # another program's
            in_order = sorted(dict(root_index.entries(body, self._key)).items())
            return root_index.json_projects(self._seen(in_order))

    def _seen(
        self, listed: Iterable[tuple[NormalizedName, ListedProject]]
    ) -> Iterator[tuple[NormalizedName, ListedProject]]:
        """Merge, count, and compare the names of what changes."""
        names: dict[NormalizedName, str] = {}  # before; the merge is one project ahead at most
        self.names_changed = False

        def remembered() -> Iterator[tuple[NormalizedName, ListedProject]]:
            for project, before in listed:
                if project in self._changes:
                    names[project] = before.name
                yield project, before

        projects = files = bytes_ = 0
        for project, after in root_index.merged(remembered(), self._changes):
            if project in self._changes and names.pop(project, None) != after.name:
                self.names_changed = True
            projects += 1
            files += after.files
            bytes_ += after.bytes_
            yield project, after
        self.names_changed = self.names_changed or bool(names)
        self.totals = Totals(projects, files, bytes_)


def _html(page: bytes, key: Key) -> bytes:
    return root_index.html_page(root_index.entries(page, key))


def _later(serial: int | None, other: int | None) -> int | None:
    return max((one for one in (serial, other) if one is not None), default=None)


def _digest(page: bytes) -> bytes:
    return hashlib.sha256(page).digest()


async def _tag(key: Key, mirror: Mirror) -> str | None:
    head = await mirror.storage.head(key)
    return None if head is None else head.etag


async def _write(key: Key, page: bytes, tag: str | None, mirror: Mirror) -> str:
    """Write a page over exactly the one that was read."""
    if tag is None:
        return await mirror.storage.create(key, page)
    return await mirror.storage.write(key, page, replacing=tag)
