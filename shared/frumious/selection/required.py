"""The filters of requirements files at addresses, which are read when a run is planned.

Those of files alone are `RequiredProjects` and `PinnedReleases`, which these become.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from frumious.selection.names import RequiredProjects
from frumious.selection.releases import PinnedReleases
from frumious.selection.unread import ListsUnread, Unread

if TYPE_CHECKING:
    from frumious.config.filters import FilterOptions, Required
    from frumious.model.lists import Lists


class UnreadRequirements(Unread, frozen=True):
    """Projects of requirements files."""

    name: ClassVar = RequiredProjects.name
    option: ClassVar = RequiredProjects.option
    required: Required

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[allowlist] requirements`; return None where none has an address."""
        return cls(options.required) if options.required.addresses else None

    def resolved(self, lists: Lists) -> RequiredProjects | None:
        """Return the filter of what the files and lists require."""
        return RequiredProjects.of(_together(self.required, lists).entries)


class UnreadPins(Unread, frozen=True):
    """Releases of requirements files."""

    name: ClassVar = PinnedReleases.name
    option: ClassVar = RequiredProjects.option
    required: Required

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[allowlist] requirements`; return None where none has an address."""
        return cls(options.required) if options.required.addresses else None

    def resolved(self, lists: Lists) -> ListedPins | None:
        """Return the filter of what the files and lists pin."""
        return ListedPins.of(_together(self.required, lists).pins)


class ListedPins(PinnedReleases, frozen=True):
    """As `PinnedReleases`, by lists that others change."""

    name: ClassVar = PinnedReleases.name


def _together(required: Required, lists: Lists) -> Required:
    if not lists.requirements:
        raise ListsUnread
    return required._replace(entries=(*required.entries, *lists.entries))
