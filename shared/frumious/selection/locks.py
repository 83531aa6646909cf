"""The filter of what lock files pin: by projects, and by their releases or files.

The lists are read when a run is planned, not with the configuration.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Final, Self

from msgspec.structs import replace
from packaging.specifiers import SpecifierSet

from frumious.config import filters
from frumious.redaction import SecretText
from frumious.selection.names import AllowedProjects
from frumious.selection.releases import PinnedReleases, matches
from frumious.selection.unread import ListsUnread, Unread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.config.filters import FilterOptions
    from frumious.model.lists import Lists, Pin
    from frumious.selection.subject import Release

_SECTION: Final = "locks"


class Exact(StrEnum):
    """What of a project a list selects."""

    PROJECTS = "false"  # all that other filters leave
    VERSIONS = "versions"  # the pinned versions
    FILES = "true"  # the pinned files


class UnreadLocks(Unread, frozen=True):
    """Where lock files are, until somebody has read them."""

    name: ClassVar = "project_locks"
    option: ClassVar = "[locks] files"
    sources: tuple[str, ...]  # files, patterns of files, s3:// and https addresses
    indexes: tuple[str, ...]  # more addresses that the index has in lists

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[locks] files` and `indexes`; return None without lists."""
        get = options.reader.get
        indexes = tuple(map(SecretText, get(_SECTION, "indexes", filters.lines, filters.NO_TEXTS)))
        return cls(options.locks, indexes) if options.locks else None

    def resolved(self, lists: Lists) -> LockedProjects:
        """Return the filter that follows from the lists."""
        if not lists.lists:
            raise ListsUnread
        return LockedProjects(frozenset(lists.pins))


class UnreadLockedReleases(Unread, frozen=True):
    """What lock files select of their projects, until somebody has read them."""

    name: ClassVar = UnreadLocks.name
    option: ClassVar = UnreadLocks.option
    exact: Exact

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[locks] lock-exact`; return None where all releases are selected."""
        exact = options.reader.get(_SECTION, "lock-exact", _exact, Exact.PROJECTS)
        return cls(exact) if options.locks and exact is not Exact.PROJECTS else None

    def resolved(self, lists: Lists) -> LockedReleases:
        """Return the filter that follows from the lists."""
        if not lists.lists:
            raise ListsUnread
        return LockedReleases.of_pins(lists.pins, by_file=self.exact is Exact.FILES)


class LockedProjects(AllowedProjects, frozen=True):
    """Projects that lists pin; they may be none."""

    name: ClassVar = UnreadLocks.name
    option: ClassVar = UnreadLocks.option


class LockedReleases(PinnedReleases, frozen=True):
    """The releases that lock files pin, or of these the pinned files alone."""

    name: ClassVar = UnreadLocks.name
    pins: Mapping[NormalizedName, tuple[Pin, ...]]
    by_file: bool

    @classmethod
    def of_pins(cls, pins: Mapping[NormalizedName, tuple[Pin, ...]], *, by_file: bool) -> Self:
        """Return the filter of what lists pin."""
        specifiers = {
            project: tuple(SpecifierSet(pin.version) for pin in of_project)
            for project, of_project in pins.items()
        }
        return cls(specifiers, pins, by_file)

    def rules_of(self, project: NormalizedName) -> list[str]:
        """Return the pins of a project as text, in an order that does not depend on the list."""
        if not self.by_file:
            return super().rules_of(project)
        pins = self.pins.get(project, ())
        return sorted({f"{pin.version} {sorted(map(str, pin.files))}" for pin in pins})

    def select(self, project: NormalizedName, releases: Sequence[Release]) -> Sequence[Release]:
        """Return the releases that are wanted, with the files that are wanted."""
        matching = super().select(project, releases)
        pins = self.pins.get(project, ())
        if not self.by_file or not pins:
            return matching
        pinned = [file for pin in pins for file in pin.files]
        # A pin without files is one of all files of its version.
        whole = {
            release.text
            for pin, specifier in zip(pins, self.specifiers[project], strict=True)
            if not pin.files
            for release in matching
            if matches(specifier, release)
        }
        kept = []
        for release in releases:
            files = tuple(
                file
                for file in release.files
                if release.text in whole or any(each.matches(file) for each in pinned)
            )
            if files or release.text in whole:
                kept.append(replace(release, files=files))
        return kept


def _exact(text: str) -> Exact:
    try:
        return Exact(text.lower())
    except ValueError:
        msg = "must be false, versions (all files of the pinned versions) or true (pinned files)"
        raise ValueError(msg) from None
