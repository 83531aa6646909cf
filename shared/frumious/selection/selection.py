"""Which projects, releases and files are wanted. Pure: takes values, returns values."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from packaging.utils import (
    canonicalize_name,
)
from packaging.version import InvalidVersion, Version

from frumious.selection.filenames import version_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet
    from packaging.utils import NormalizedName

    from frumious.config.settings import Filters
    from frumious.model.pages import ProjectPage


Specifiers = dict["NormalizedName", list["SpecifierSet"]]


@dataclass(frozen=True, slots=True)
class Selection:
    """The configuration's filters, ready to be asked."""

    exact_projects: frozenset[NormalizedName] | None  # None: all projects
    blocked_projects: frozenset[NormalizedName]
    allowed_releases: Mapping[NormalizedName, list[SpecifierSet]]
    blocked_releases: Mapping[NormalizedName, list[SpecifierSet]]

    @classmethod
    def of(cls, filters: Filters) -> Selection:
        """Prepare what mirror.conf says."""
        allowed = filters.allowed_projects
        return cls(
            # An allowlist without entries allows everything, as bandersnatch has it.
            exact_projects=frozenset(map(_name, allowed)) if allowed else None,
            blocked_projects=frozenset(
                _name(entry) for entry in filters.blocked_projects or () if not entry.specifier
            ),
            allowed_releases=_specifiers(filters.allowed_releases or ()),
            blocked_releases=_specifiers(filters.blocked_releases or ()),
        )

    @property
    def projects_fingerprint(self) -> str:
        """Identify what decides which projects are mirrored."""
        exact = None if self.exact_projects is None else sorted(self.exact_projects)
        return _fingerprint(exact, sorted(self.blocked_projects))

    def releases_fingerprint(self, project: NormalizedName) -> str:
        """Identify what decides which of a project's releases are; empty: all of them."""
        allowed = self.allowed_releases.get(project)
        blocked = self.blocked_releases.get(project)
        if allowed is None and blocked is None:
            return ""
        return _fingerprint(*(sorted(map(str, rules or ())) for rules in (allowed, blocked)))

    @property
    def projects_with_rules(self) -> frozenset[NormalizedName]:
        """Return the projects of which not all releases may be wanted."""
        return frozenset(self.allowed_releases) | frozenset(self.blocked_releases)

    def wants(self, project: NormalizedName) -> bool:
        """Say whether the project is mirrored at all."""
        allowed = self.exact_projects is None or project in self.exact_projects
        return allowed and project not in self.blocked_projects

    def select(self, project: NormalizedName, page: ProjectPage) -> ProjectPage:
        """Return the page with only the releases and files that are wanted."""
        allowed = self.allowed_releases.get(project)
        blocked = self.blocked_releases.get(project)
        if allowed is None and blocked is None:
            return page

        def wanted(version: Version | None) -> bool:
            if allowed is not None and not _matches(version, allowed):
                return False
            return blocked is None or not _matches(version, blocked)

        return replace(
            page,
            files=tuple(file for file in page.files if wanted(version_of(file.filename))),
            versions=None
            if page.versions is None
            else tuple(text for text in page.versions if wanted(_version(text))),
        )


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _matches(version: Version | None, specifiers: list[SpecifierSet]) -> bool:
    """Say whether a version is in any of the sets; one that cannot be read is in none."""
    return version is not None and any(
        entry.contains(version, prereleases=True) for entry in specifiers
    )


def _fingerprint(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def _name(entry: Requirement) -> NormalizedName:
    return canonicalize_name(entry.name)


def _specifiers(entries: Iterable[Requirement]) -> Specifiers:
    found: Specifiers = {}
    for entry in entries:
        if entry.specifier:
            found.setdefault(_name(entry), []).append(entry.specifier)
    return found
