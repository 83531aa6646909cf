"""The stored objects of one project after another, from several listings at once.

Pages, their compressed variants, provenance and legacy JSON are below prefixes of their own, each
in the order of the projects' names. They are merged as they arrive: one project at a time is in
memory.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar, cast

from frumious.model import layout
from frumious.model.page_layout import Gzip

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.page_layout import PageLayout
    from frumious.model.types import Key
    from frumious.storage.protocol import Entry, Storage

T = TypeVar("T")

PAGES: Final = "web/simple/"
_GZIP_PAGES: Final = f"{layout.GZIP_FOLDER}simple/"


@dataclass(frozen=True, slots=True)
class ProjectObjects:
    """What is stored for a project: pages, provenance and legacy JSON."""

    project: NormalizedName
    entries: Mapping[Key, Entry]


def _prefixes(mirror: Mirror) -> tuple[str, ...]:
    """Return the prefixes below which each project has a folder."""
    pages = mirror.pages.layout
    gzip = (_GZIP_PAGES,) if pages.gzip is Gzip.PREFIX else ()
    legacy = (layout.LEGACY_PAGES,) if mirror.config.json else ()
    return (*{PAGES: None, pages.manifest_prefix: None}, *gzip, layout.PROVENANCE, *legacy)


async def objects_of(project: NormalizedName, mirror: Mirror) -> ProjectObjects:
    """Return what is stored for one project now."""
    pages, storage = mirror.pages.layout, mirror.storage
    entries: dict[Key, Entry] = {}
    for prefix in _prefixes(mirror):
        folder = f"{prefix}{_path(project, prefix, pages)}/"
        entries |= {entry.key: entry async for entry in storage.list(folder)}
    if mirror.config.json:
        async with aclosing(storage.list(f"{layout.LEGACY_JSON}{project}")) as listing:
            entry = await anext(listing, None)  # others may begin with the same name
            if entry is not None and entry.key in layout.legacy_json(project):
                entries[entry.key] = entry
    return ProjectObjects(project, entries)


async def all_projects(mirror: Mirror, *, after: str = "") -> AsyncGenerator[ProjectObjects, None]:
    """Yield what is stored for each project behind another one, in the order of their folders."""
    pages, storage = mirror.pages.layout, mirror.storage
    listings = {prefix: _folders(prefix, pages, storage, after) for prefix in _prefixes(mirror)}
    if mirror.config.json:
        listings[layout.LEGACY_JSON] = _legacy_json(storage, after)
    async with AsyncExitStack() as opened:
        pending: dict[str, tuple[str, list[Entry]]] = {}  # prefix -> its next folder
        folders = {
            prefix: await opened.enter_async_context(aclosing(listing))
            for prefix, listing in listings.items()
        }
        while True:
            for prefix, listing in folders.items():
                if prefix not in pending and (found := await anext(listing, None)) is not None:
                    pending[prefix] = found
            if not pending:
                return
            name = min((name for name, _ in pending.values()), key=folder_order)
            entries: dict[Key, Entry] = {}
            for prefix in [each for each, (found_name, _) in pending.items() if found_name == name]:
                entries |= {entry.key: entry for entry in pending.pop(prefix)[1]}
            if layout.is_project(name):
                yield ProjectObjects(cast("NormalizedName", name), entries)


def folder_order(name: str) -> bytes:
    """Return the sort key of a project's folder in a listing: `a-b/` is before `a/`."""
    return f"{name}/".encode()


def in_folder_order(items: Iterable[tuple[NormalizedName, T]]) -> Iterator[tuple[str, T]]:
    """Yield items that are sorted by name in the order of their folders, as a stream.

    Only a name that others begin with, followed by a dash, comes later than in its own order.
    """
    waiting: list[tuple[str, T]] = []
    for name, item in items:
        while waiting and not name.startswith(f"{waiting[-1][0]}-"):
            yield waiting.pop()
        waiting.append((name, item))
    yield from reversed(waiting)


async def _folders(
    prefix: str, pages: PageLayout, storage: Storage, after: str
) -> AsyncGenerator[tuple[str, list[Entry]], None]:
    """Yield each project's folder below a prefix; other objects belong to no project."""
    begin = f"{prefix}{_path(after, prefix, pages)}0" if after else ""  # "0" follows the slash
    depth = 2 if _is_hashed(prefix, pages) else 1
    current, entries = "", list["Entry"]()
    async for entry in storage.list(prefix, after=begin):
        parts = entry.key.removeprefix(prefix).split("/", depth)
        if len(parts) <= depth:
            continue
        if parts[depth - 1] != current:
            if entries:
                yield current, entries
            current, entries = parts[depth - 1], []
        entries.append(entry)
    if entries:
        yield current, entries


async def _legacy_json(
    storage: Storage, after: str
) -> AsyncGenerator[tuple[str, list[Entry]], None]:
    """Yield the legacy JSON of each project: files, not folders, but in the order of folders.

    A project whose name others continue with a dash comes behind these, so that the listing begins
    before the first name that `after` may continue.
    """
    prefix, begin = layout.LEGACY_JSON, ""
    if after:
        first, last = after.partition("-")[0][:-1], after.partition("-")[0][-1]
        begin = f"{prefix}{first}{chr(ord(last) - 1)}~"
    waiting: list[tuple[str, list[Entry]]] = []
    async with aclosing(storage.list(prefix, after=begin)) as listing:
        async for entry in listing:
            name = entry.key.removeprefix(prefix)
            if not layout.is_project(name):
                continue
            while waiting and not name.startswith(f"{waiting[-1][0]}-"):
                yield waiting.pop()
            if not after or folder_order(name) > folder_order(after):
                waiting.append((name, [entry]))
    for found in reversed(waiting):
        yield found


def _path(project: str, prefix: str, pages: PageLayout) -> str:
    return f"{project[0]}/{project}" if _is_hashed(prefix, pages) else project


def _is_hashed(prefix: str, pages: PageLayout) -> bool:
    return pages.hashed and prefix not in {layout.PROVENANCE, layout.LEGACY_PAGES}
