"""Filters of projects and files by how much they have: known from the project page."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from packaging.utils import canonicalize_name

from frumious.config import filters, values
from frumious.value import Value

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.config.filters import FilterOptions
    from frumious.selection.subject import ReleaseFile, Subject


class SizeLimit(Value, frozen=True):
    """Projects whose files are not larger than a limit, all together; the allowlist is exempt."""

    name: ClassVar = "size_project_metadata"
    needs_legacy: ClassVar = False
    exempt: frozenset[NormalizedName]
    bytes_: int

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[size_project_metadata] max_package_size`."""
        size = options.reader.get(cls.name, "max_package_size", filters.size, 0)
        return cls(_exempt(options), size) if size else None

    def wants(self, subject: Subject) -> bool:
        """Return whether the project is wanted."""
        if subject.project in self.exempt:
            return True
        return sum(file.size or 0 for file in subject.page.files) <= self.bytes_


class VersionCount(Value, frozen=True):
    """Projects with a number of versions within limits; the allowlist is exempt."""

    name: ClassVar = "versions_count_project_metadata"
    needs_legacy: ClassVar = False
    exempt: frozenset[NormalizedName]
    min_versions: int
    max_versions: int  # 0: without limit

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[versions_count_project_metadata] min_versions` and `max_versions`."""
        minimum = options.reader.get(cls.name, "min_versions", values.whole_number(0), 0)
        maximum = options.reader.get(cls.name, "max_versions", values.whole_number(0), 0)
        if maximum and minimum > maximum:
            text = f"is below min_versions = {minimum}: no project has so many versions"
            options.reader.add_mistake(cls.name, "max_versions", text)
        return cls(_exempt(options), minimum, maximum) if minimum or maximum else None

    def wants(self, subject: Subject) -> bool:
        """Return whether the project is wanted."""
        count = len(subject.releases(subject.files))
        below = bool(self.max_versions) and count > self.max_versions
        return subject.project in self.exempt or not (below or count < self.min_versions)


class FileSizeLimit(Value, frozen=True):
    """Files up to a limit. Where upstream lists no size, the transfer stops at the limit."""

    name: ClassVar = "max_file_size"
    needs_legacy: ClassVar = False
    bytes_: int

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[budget] max-file-size`."""
        size = options.reader.get("budget", "max-file-size", filters.size, 0)
        return cls(size) if size else None

    def wants(self, _: Subject, each: ReleaseFile) -> bool:
        """Return whether the file is wanted."""
        return (each.file.size or 0) <= self.bytes_


def _exempt(options: FilterOptions) -> frozenset[NormalizedName]:
    return frozenset(canonicalize_name(entry.name) for entry in options.allowed)
