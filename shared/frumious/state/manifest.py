"""The mirror's own project pages, as they are stored.

Whatever the JSON page names is stored and verified: it is the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from frumious.model import layout
from frumious.simple import parse_html, parse_json
from frumious.simple.values import InvalidPage

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.pages import ProjectPage
    from frumious.model.types import Key
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
    return Manifest(parse_json.manifest(stored.body, key), key, stored)


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
