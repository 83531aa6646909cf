"""What a snapshot shows of a project whose page it keeps. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.model.pages import ProjectPage
from frumious.model.snapshots import snapshot_key
from frumious.selection.subject import NO_CONTEXT, Subject
from frumious.simple import render

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from packaging.utils import NormalizedName

    from frumious.config.settings import Config
    from frumious.model.types import Key


def shown_page(
    project: NormalizedName, page: ProjectPage | None, withheld: Collection[str]
) -> ProjectPage:
    """Return what readers of the snapshot get: a page without files where there was none."""
    if page is None:
        return ProjectPage(name=project)
    return Subject.of(project, page, NO_CONTEXT).without(withheld).page if withheld else page


def shown_pages(
    snapshot: str,
    project: NormalizedName,
    page: ProjectPage | None,
    withheld: Collection[str],
    config: Config,
) -> Iterator[tuple[Key, bytes]]:
    """Render what readers of the snapshot get, in all forms that are published."""
    shown = render.as_published(shown_page(project, page, withheld), config.root_uri)
    pages = config.page_layout
    for form, body in render.project_pages(shown, pages.forms, config.digest_name):
        yield snapshot_key(snapshot, pages.page(project, form)), body
