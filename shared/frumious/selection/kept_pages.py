"""What a snapshot shows of a project whose page it keeps. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.model.pages import ProjectPage
from frumious.selection.subject import NO_CONTEXT, Subject

if TYPE_CHECKING:
    from collections.abc import Collection

    from packaging.utils import NormalizedName


def shown_page(
    project: NormalizedName, page: ProjectPage | None, withheld: Collection[str]
) -> ProjectPage:
    """Return what readers of the snapshot get: a page without files where there was none."""
    if page is None:
        return ProjectPage(name=project)
    return Subject.of(project, page, NO_CONTEXT).without(withheld).page if withheld else page
