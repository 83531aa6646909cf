"""What the filters decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import field
from msgspec.structs import replace

from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.model.pages import ProjectPage


class Decision(Value, frozen=True):
    """What filters make of a project."""

    excluded_by: str  # the filter that excludes the project; empty: it is selected
    files: Mapping[str, str]  # filename -> the filter that excludes it; empty: it is selected
    versions: frozenset[str | None]  # the selected ones, as upstream lists them
    # What the cooldown excludes, and until when; infinity: for good.
    held_back: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""  # what other projects need of it, and no release satisfies

    def page(self, page: ProjectPage) -> ProjectPage | None:
        """Return upstream's page with only what is selected; None: nothing of the project."""
        if self.excluded_by:
            return None
        return replace(
            page,
            files=tuple(file for file in page.files if not self.files[file.filename]),
            versions=None
            if page.versions is None
            else tuple(text for text in page.versions if text in self.versions),
        )
