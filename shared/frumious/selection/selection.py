"""Selection of projects, releases and files by the configuration's filters, and by filenames."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    is_normalized_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from frumious.model.named import NO_NAMED_PROJECTS, NamedProjects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet
    from packaging.utils import NormalizedName

    from frumious.config.settings import Filters
    from frumious.model.pages import ProjectPage


_MAX_FILENAME_LENGTH: Final = 255  # no file system has longer ones; their parts could be millions


@dataclass(frozen=True, slots=True)
class Selection:
    """The configuration's filters, prepared for lookups by project."""

    exact_projects: frozenset[NormalizedName] | None  # None: all projects
    blocked_projects: frozenset[NormalizedName]
    allowed_releases: Mapping[NormalizedName, list[SpecifierSet]]
    blocked_releases: Mapping[NormalizedName, list[SpecifierSet]]
    named: NamedProjects = NO_NAMED_PROJECTS  # they count before the filters

    @classmethod
    def of(cls, filters: Filters) -> Selection:
        """Prepare the filters."""
        allowed = filters.allowed_projects
        return cls(
            # As in bandersnatch, an allowlist without entries allows everything.
            exact_projects=frozenset(map(_name, allowed)) if allowed else None,
            blocked_projects=frozenset(
                _name(entry) for entry in filters.blocked_projects or () if not entry.specifier
            ),
            allowed_releases=_specifiers(filters.allowed_releases or ()),
            blocked_releases=_specifiers(filters.blocked_releases or ()),
        )

    @property
    def projects_fingerprint(self) -> str:
        """A hash of the filters of projects."""
        exact = None if self.exact_projects is None else sorted(self.exact_projects)
        return _fingerprint(exact, sorted(self.blocked_projects))

    def releases_fingerprint(self, project: NormalizedName) -> str:
        """Return a hash of the filters of a project's releases; empty without such filters."""
        allowed = self.allowed_releases.get(project)
        blocked = self.blocked_releases.get(project)
        if allowed is None and blocked is None:
            return ""
        return _fingerprint(*(sorted(map(str, rules or ())) for rules in (allowed, blocked)))

    @property
    def projects_with_rules(self) -> frozenset[NormalizedName]:
        """The projects with filters of releases."""
        return frozenset(self.allowed_releases) | frozenset(self.blocked_releases)

    def entry(self, project: NormalizedName) -> str:
        """Return how the configuration asks for the project by name; empty if it does not."""
        listed = self.exact_projects is not None and project in self.exact_projects
        releases = self.allowed_releases.get(project)
        if project in self.blocked_projects or not (listed or releases):
            return ""
        return _fingerprint(listed, sorted(map(str, releases or ())))

    def wants(self, project: NormalizedName) -> bool:
        """Return whether the project is selected, or requested by name, and not deleted."""
        if project in self.named.deleted or project in self.named.requested:
            return project in self.named.requested
        allowed = self.exact_projects is None or project in self.exact_projects
        return allowed and project not in self.blocked_projects

    def select(self, project: NormalizedName, page: ProjectPage) -> ProjectPage:
        """Return the page with only the selected releases and files."""
        allowed = self.allowed_releases.get(project)
        blocked = self.blocked_releases.get(project)
        if allowed is None and blocked is None:
            return page

        def is_selected(version: Version | None) -> bool:
            if allowed is not None and not _matches(version, allowed):
                return False
            return blocked is None or not _matches(version, blocked)

        return replace(
            page,
            files=tuple(file for file in page.files if is_selected(version_of(file.filename))),
            versions=None
            if page.versions is None
            else tuple(text for text in page.versions if is_selected(_version(text))),
        )


def version_of(filename: str) -> Version | None:
    """Return the version in a filename; None if it is not a valid wheel or sdist name."""
    if len(filename) > _MAX_FILENAME_LENGTH:
        return None
    try:
        if filename.endswith(".whl"):
            return parse_wheel_filename(filename)[1]
        return parse_sdist_filename(filename)[1]
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None


def owners_of(filename: str) -> frozenset[NormalizedName]:
    """Return the projects that a file can belong to by its name; none if the name does not say.

    A project's name has no dash in the name of a wheel or of a release's variants (draft PEP 825).
    It may have some in every other name, and so may the version: `name-1.0-1.tar.gz` can belong to
    `name` and to `name-1-0`.
    """
    if len(filename) > _MAX_FILENAME_LENGTH:
        return frozenset()
    stem = filename.removesuffix(".whl").removesuffix("-variants.json")
    parts = stem.split("-")
    if stem == filename:
        names = ["-".join(parts[:end]) for end in range(1, len(parts))]
    else:
        names = parts[:1]
    owners = (canonicalize_name(name) for name in names if name.isascii())
    return frozenset(owner for owner in owners if is_normalized_name(owner))


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _matches(version: Version | None, specifiers: list[SpecifierSet]) -> bool:
    """Return whether a version is in any of the sets; an invalid one (None) is in none."""
    return version is not None and any(
        entry.contains(version, prereleases=True) for entry in specifiers
    )


def _fingerprint(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def _name(entry: Requirement) -> NormalizedName:
    return canonicalize_name(entry.name)


def _specifiers(entries: Iterable[Requirement]) -> dict[NormalizedName, list[SpecifierSet]]:
    specifiers: dict[NormalizedName, list[SpecifierSet]] = {}
    for entry in entries:
        if entry.specifier:
            specifiers.setdefault(_name(entry), []).append(entry.specifier)
    return specifiers
