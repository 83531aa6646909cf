"""Filters of projects by their names alone: of most projects the planner knows nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Self

from packaging.utils import canonicalize_name

from frumious.config import filters
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.requirements import Requirement
    from packaging.utils import NormalizedName

    from frumious.config.filters import FilterOptions


class AllowedProjects(Value, frozen=True):
    """Projects of a list; as in bandersnatch, an empty list allows everything."""

    name: ClassVar = "allowlist_project"
    option: ClassVar = "[allowlist] packages"
    projects: frozenset[NormalizedName]

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[allowlist] packages`."""
        return cls.of(options.allowed)

    @classmethod
    def of(cls, entries: Iterable[Requirement]) -> Self | None:
        """Return the filter of some requirements; None without any."""
        projects = _names(entries)
        return cls(projects) if projects else None

    def wants(self, project: NormalizedName) -> bool:
        """Return whether the list has the project."""
        return project in self.projects


class RequiredProjects(AllowedProjects, frozen=True):
    """Projects of requirements files."""

    name: ClassVar = "project_requirements"
    option: ClassVar = "[allowlist] requirements"

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read the files of `[allowlist] requirements`; return None where some have addresses."""
        return None if options.required.addresses else cls.of(options.required.entries)


class BlockedProjects(Value, frozen=True):
    """All projects but those of a list."""

    name: ClassVar = "blocklist_project"
    projects: frozenset[NormalizedName]

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read the entries of `[blocklist] packages` without a version specifier."""
        projects = _names(entry for entry in options.blocked if not entry.specifier)
        return cls(projects) if projects else None

    def wants(self, project: NormalizedName) -> bool:
        """Return whether the list does not have the project."""
        return project not in self.projects


class NamePatterns(Value, frozen=True):
    """All projects but those whose normalised names match a regular expression."""

    name: ClassVar = "regex_project"
    patterns: tuple[str, ...]
    search: bool  # anywhere in the name; else from its beginning

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[filter_regex] packages`."""
        section, nothing = filters.REGEX_SECTION, filters.NO_TEXTS
        patterns = options.reader.get(section, "packages", filters.patterns, nothing)
        return cls(patterns, options.regex_search) if patterns else None

    def wants(self, project: NormalizedName) -> bool:
        """Return whether no pattern matches the name."""
        return not matches_any(self.patterns, project, search=self.search)


def matches_any(patterns: Iterable[str], text: str, *, search: bool) -> bool:
    """Return whether a text matches one of the patterns, from its beginning or anywhere."""
    match = re.search if search else re.match
    return any(match(pattern, text) for pattern in patterns)


def _names(entries: Iterable[Requirement]) -> frozenset[NormalizedName]:
    return frozenset(canonicalize_name(entry.name) for entry in entries)
