"""The mirror's own JSON project page: what it names is stored and verified.

Whatever is deleted is deleted here, after a look at who may still need it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName, canonicalize_name, is_normalized_name

from frumious import layout
from frumious.engine.blobs import held_keys
from frumious.selection import project_of
from frumious.simple import parse, parse_html
from frumious.simple.values import InvalidPage

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from frumious.engine.mirror import Mirror
    from frumious.model import Key, ProjectPage
    from frumious.storage.protocol import Stored


@dataclass(frozen=True, slots=True)
class Manifest:
    """The page, and the object that it was read from."""

    page: ProjectPage
    key: Key
    stored: Stored


async def read_manifest(project: NormalizedName, mirror: Mirror) -> Manifest | None:
    """Read the mirror's page of a project; None where there is none.

    It may still lie where another configuration had it.
    """
    key = mirror.pages.manifest(project)
    stored = await mirror.storage.read(key)
    if stored is None:
        former = {pages.manifest(project) for pages in await mirror.former_pages()}
        for key in sorted(former - {key}):  # noqa: B020
            stored = await mirror.storage.read(key)
            if stored is not None:
                break
        else:
            return None
    return Manifest(parse.manifest(stored.body, key), key, stored)


async def read_html_page(project: NormalizedName, mirror: Mirror) -> ProjectPage | None:
    """Read the HTML page of a project, for what the JSON page does not say yet, or never will."""
    key = mirror.pages.page(project, layout.HTML)
    stored = await mirror.storage.read(key)
    if stored is None:
        return None
    try:
        return parse_html.project_page(stored.body, f"/{key}", project).page
    except InvalidPage:
        return None


async def delete_files(project: NormalizedName, keys: Collection[Key], mirror: Mirror) -> None:
    """Delete files that the project's page does not name, or no longer.

    A file that by its name is another project's stays where that one's page names it too.
    """
    needed: set[Key] = set()
    for owner, theirs in _others(project, keys).items():
        manifest = await read_manifest(owner, mirror)
        if manifest is not None:
            needed |= theirs & set(held_keys(owner, manifest.page))
    await mirror.storage.delete([key for key in keys if key not in needed])


def _others(project: NormalizedName, keys: Collection[Key]) -> Mapping[NormalizedName, set[Key]]:
    """Group the keys whose filenames say that they are other projects'."""
    others: defaultdict[NormalizedName, set[Key]] = defaultdict(set)
    for key in keys:
        owner = project_of(layout.filename(key).removesuffix(".metadata"))
        if owner is not None and owner != project and is_normalized_name(owner):
            others[canonicalize_name(owner)].add(key)
    return others
