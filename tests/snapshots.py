"""Snapshots for tests: created as the command does, and read as web servers read them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from frumious.model.snapshots import KEPT_PAGES, SNAPSHOT_PAGES, Snapshot, Snapshots, snapshot_key
from frumious.state.snapshots import change_snapshots

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from frumious.mirror import Mirror
    from tests.world import World

FORMS = ("index.html", "index.v1_html", "index.v1_json")


async def create(name: str, mirror: Mirror) -> Snapshot:
    """Create a snapshot of the index as it is now."""
    now = mirror.clock.now()
    new = Snapshot(created=now, fixed=now, serial=0)

    def add(known: Snapshots) -> Snapshots:
        return replace(known, snapshots={**known.snapshots, name: new})

    await change_snapshots(add, mirror.storage)
    mirror.pages.snapshots.forget()
    layout = mirror.pages.layout
    for key in (layout.root_manifest, *layout.root_html):
        stored = await mirror.storage.read(key)
        if stored is not None:
            await mirror.storage.write(snapshot_key(name, key), stored.body)
    return new


async def delete(name: str, mirror: Mirror) -> None:
    """Delete a snapshot, but for the files that it alone names."""

    def drop(known: Snapshots) -> Snapshots:
        rest = {each: known.snapshots[each] for each in known.snapshots if each != name}
        return replace(known, snapshots=rest)

    await change_snapshots(drop, mirror.storage)
    for prefix in (f"{SNAPSHOT_PAGES}{name}/", f"{KEPT_PAGES}{name}/"):
        await mirror.storage.delete([each.key async for each in mirror.storage.list(prefix)])


def page_of(
    name: str, project: str, read: Callable[[str], bytes | None], form: str = "index.v1_json"
) -> bytes | None:
    """Return what readers of a snapshot get of a project: its own copy, else the live page."""
    own = read(f"{SNAPSHOT_PAGES}{name}/simple/{project}/{form}")
    return own if own is not None else read(f"web/simple/{project}/{form}")


class SnapshotReader:
    """Reads the pages of one snapshot in the bucket of a world."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name

    @classmethod
    def create(cls, world: World, name: str = "monday") -> SnapshotReader:
        """Create a snapshot, and return its reader."""
        world.run(lambda mirror: create(name, mirror))
        return cls(world, name)

    def page(self, project: str = "demo") -> dict[str, Any] | None:
        """Return the JSON page without the mirror's private part; None: there is none."""
        body = page_of(self.name, project, self._read)
        if body is None:
            return None
        page: dict[str, Any] = json.loads(body)
        page["meta"].pop("_frumious", None)
        return page

    def files(self, project: str = "demo") -> set[str]:
        """Return the names of the files on the page."""
        page = self.page(project) or {"files": []}
        return {file["filename"] for file in page["files"]}

    def forms(self, project: str = "demo") -> Mapping[str, bytes | None]:
        """Return the page in all forms."""
        return {form: page_of(self.name, project, self._read, form) for form in FORMS}

    def missing(self, project: str = "demo") -> set[str]:
        """Return what the page names and the bucket lacks: files and their core metadata."""
        stored: set[str] = {*self.world.stored("web/packages/")}
        named: set[str] = set()
        for file in (self.page(project) or {"files": []})["files"]:
            key = f"web/packages/{file['url'].rpartition('/packages/')[2]}"
            named |= {key, *([f"{key}.metadata"] if file["core-metadata"] else [])}
        return named - stored

    @property
    def own(self) -> list[str]:
        """The keys of all that the snapshot keeps."""
        prefix = f"{SNAPSHOT_PAGES}{self.name}/simple/"
        root = {f"{prefix}{form}" for form in FORMS}
        return [key for key in self.world.stored(prefix) if key not in root]

    def _read(self, key: str) -> bytes | None:
        return self.world.read(key) if key in self.world.stored(key) else None
