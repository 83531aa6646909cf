"""Filters of releases."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final, Self

from packaging.utils import canonicalize_name
from packaging.version import Version

from frumious.config import filters, values
from frumious.selection.names import matches_any
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet
    from packaging.utils import NormalizedName

    from frumious.config.filters import FilterOptions
    from frumious.selection.kinds import ReleaseFilter
    from frumious.selection.subject import Release

_OLDEST: Final = Version("0.dev0")


class Rules(Value, frozen=True):
    """Version specifiers of some projects; a release matches if one of its project's does."""

    name: ClassVar[str]
    specifiers: Mapping[NormalizedName, tuple[SpecifierSet, ...]]

    @classmethod
    def of(cls, entries: Iterable[Requirement]) -> Self | None:
        """Return the rules of some requirements; None without any."""
        specifiers: dict[NormalizedName, tuple[SpecifierSet, ...]] = {}
        for entry in entries:
            project = canonicalize_name(entry.name)
            specifiers[project] = (*specifiers.get(project, ()), entry.specifier)
        return cls(specifiers) if specifiers else None

    def rules_of(self, project: NormalizedName) -> list[str]:
        """Return the rules of a project as text, in an order that does not depend on the file."""
        return sorted(map(str, self.specifiers.get(project, ())))

    def _match(self, project: NormalizedName, release: Release) -> bool:
        return any(matches(specifier, release) for specifier in self.specifiers[project])


def matches(specifier: SpecifierSet, release: Release) -> bool:
    """Return whether a release matches; one whose version is not valid matches any version."""
    version = release.version
    return not specifier or (version is not None and specifier.contains(version, prereleases=True))


class AllowedReleases(Rules, frozen=True):
    """The releases that match; projects without a rule keep all of theirs."""

    name: ClassVar = "allowlist_release"

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[allowlist] packages`: an entry without a specifier allows all releases."""
        whole = {canonicalize_name(entry.name) for entry in options.allowed if not entry.specifier}
        entries = (each for each in options.allowed if canonicalize_name(each.name) not in whole)
        return cls.of(entries)

    def select(self, project: NormalizedName, releases: Sequence[Release]) -> Sequence[Release]:
        """Return the releases that are wanted."""
        if project not in self.specifiers:
            return releases
        return [release for release in releases if self._match(project, release)]


class PinnedReleases(AllowedReleases, frozen=True):
    """As `AllowedReleases`; what matches passes the other filters of releases."""

    name: ClassVar = "project_requirements_pinned"

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read the files of `[allowlist] requirements`; return None where some have addresses."""
        return None if options.required.addresses else cls.of(options.required.pins)


class BlockedReleases(Rules, frozen=True):
    """All releases but those that match."""

    name: ClassVar = "blocklist_release"

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[blocklist] packages`: an entry without a specifier blocks all releases."""
        return cls.of(options.blocked)

    def select(self, project: NormalizedName, releases: Sequence[Release]) -> Sequence[Release]:
        """Return the releases that are wanted."""
        if project not in self.specifiers:
            return releases
        return [release for release in releases if not self._match(project, release)]


class VersionPatterns(Value, frozen=True):
    """All releases but those whose versions match a regular expression."""

    name: ClassVar = "regex_release"
    patterns: tuple[str, ...]
    search: bool  # anywhere in the version; else from its beginning

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[filter_regex] releases`."""
        section, nothing = filters.REGEX_SECTION, filters.NO_TEXTS
        patterns = options.reader.get(section, "releases", filters.patterns, nothing)
        return cls(patterns, options.regex_search) if patterns else None

    def select(self, _: NormalizedName, releases: Sequence[Release]) -> Sequence[Release]:
        """Return the releases that are wanted."""
        return [
            release
            for release in releases
            if not matches_any(self.patterns, release.text or "", search=self.search)
        ]


class NoPrereleases(Value, frozen=True):
    """All releases but alpha, beta, development releases and release candidates."""

    name: ClassVar = "prerelease_release"
    projects: frozenset[NormalizedName]  # empty: of all projects

    @classmethod
    def read(cls, options: FilterOptions) -> Self:
        """Read `[filter_prerelease] packages`."""
        everything: frozenset[NormalizedName] = frozenset()
        return cls(options.reader.get("filter_prerelease", "packages", filters.names, everything))

    def select(self, project: NormalizedName, releases: Sequence[Release]) -> Sequence[Release]:
        """Return the releases that are wanted; one whose version is not valid is."""
        if self.projects and project not in self.projects:
            return releases
        return [
            release
            for release in releases
            if release.version is None or not release.version.is_prerelease
        ]


class LatestReleases(Value, frozen=True):
    """The newest releases with files, the newest stable one included. The last of all filters."""

    name: ClassVar = "latest_release"
    keep: int
    by_time: bool  # of the first upload; else by version

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[latest_release] keep` and `sort_by`."""
        keep = options.reader.get(cls.name, "keep", values.whole_number(0), 0)
        order = values.one_of("version", "time")
        sort_by = options.reader.get(cls.name, "sort_by", order, "version")
        return cls(keep, sort_by == "time") if keep else None

    def select(self, _: NormalizedName, releases: Sequence[Release]) -> Sequence[Release]:
        """Return the releases that are wanted; versions that are not valid are the oldest."""
        by_version = sorted(
            (release for release in releases if release.files), key=_version, reverse=True
        )
        ranked = sorted(by_version, key=_uploaded, reverse=True) if self.by_time else by_version
        latest = ranked[: self.keep]
        stable = next(filter(_is_stable, by_version), None)
        if stable is not None and stable not in latest:
            latest[-1] = stable
        kept = {release.text for release in latest}
        return [release for release in releases if release.text in kept]


class ProjectSizeLimit(Value, frozen=True):
    """The newest releases whose files fit into a limit together: the newest stable one first.

    A release is kept as a whole. The first that does not fit ends the list, so that no release is
    missing between two others. A file without a size fits into no limit.
    """

    name: ClassVar = "max_project_size"
    bytes_: int

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[budget] max-project-size`."""
        size = options.reader.get("budget", "max-project-size", filters.size, 0)
        return cls(size) if size else None

    def select(self, _: NormalizedName, releases: Sequence[Release]) -> Sequence[Release]:
        """Return the releases that are wanted."""
        ranked = sorted((each for each in releases if each.files), key=_version, reverse=True)
        stable = next(filter(_is_stable, ranked), None)
        ranked.sort(key=lambda each: each is not stable)
        kept, left = set["str | None"](), self.bytes_
        for release in ranked:
            for file in release.files:
                left -= self.bytes_ + 1 if file.size is None else file.size
            if left < 0:
                break
            kept.add(release.text)
        return [each for each in releases if each.text in kept or not each.files]


def select_releases(
    filters: Iterable[ReleaseFilter],
    project: NormalizedName,
    releases: Sequence[Release],
    needed: frozenset[str | None] = frozenset(),
) -> tuple[Sequence[Release], dict[str, str]]:
    """Return the selected releases, and the filters that exclude files by name.

    `needed` are versions that other projects need: lists of allowed releases do not exclude them.
    """
    excluded: dict[str, str] = {}
    is_pinned = False  # the project: other filters of releases do not apply
    for each in filters:
        if is_pinned and not isinstance(each, PinnedReleases):
            break
        left = each.select(project, releases)
        if needed and isinstance(each, AllowedReleases):
            allowed = {release.text: release for release in left}
            either = (
                release if release.text in needed else allowed.get(release.text)
                for release in releases
            )
            left = [release for release in either if release is not None]
        kept = {file.filename for release in left for file in release.files}
        before = (file.filename for release in releases for file in release.files)
        excluded |= {name: each.name for name in before if name not in kept}
        releases = left
        if isinstance(each, PinnedReleases):
            is_pinned = is_pinned or project in each.specifiers
    return releases, excluded


def _version(release: Release) -> tuple[bool, Version, str]:
    return release.version is not None, release.version or _OLDEST, release.text or ""


def _uploaded(release: Release) -> float:
    """Return when the first file was uploaded, in seconds since the epoch; 0: unknown."""
    times = [_seconds(file.upload_time) for file in release.files]
    return min((time for time in times if time), default=0.0)


def _seconds(text: str | None) -> float:
    try:
        return datetime.fromisoformat(text).timestamp() if text else 0.0
    except (ValueError, OverflowError):
        return 0.0


def _is_stable(release: Release) -> bool:
    """Return whether installers prefer a release: it is no pre-release, and not yanked."""
    yanked = all(file.yanked is not False for file in release.files)
    return release.version is not None and not release.version.is_prerelease and not yanked
