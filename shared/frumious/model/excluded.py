"""Projects that filters exclude by their pages: the root index does not list them."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from frumious.model.types import ProjectName, Serial


class Excluded(Struct, frozen=True, kw_only=True):
    """The projects that certain filters exclude: a comparison does not miss them."""

    filters: str = ""  # the fingerprint of the filters
    projects: Mapping[ProjectName, Serial] = {}  # -> serial of the page that they decided on

    def by(self, filters: str) -> Mapping[ProjectName, Serial]:
        """Return the projects that certain filters exclude."""
        return self.projects if self.filters == filters else {}

    def adding(self, projects: Mapping[ProjectName, Serial], filters: str) -> Excluded:
        """Return the same with more projects, or these alone where the filters are others."""
        return Excluded(filters=filters, projects={**self.by(filters), **projects})
