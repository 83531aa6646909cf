"""What filters decide on: a project, its releases and files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from frumious.selection.filenames import Versions, parse_version
from frumious.simple import legacy_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from frumious.model.pages import File, ProjectPage
    from frumious.model.types import JsonObject


class ReleaseFile(NamedTuple):
    """A file of a project."""

    file: File
    release: str | None  # its version, as upstream lists it; None: its name has none
    tags: str  # what follows the version in its name, without the extension


@dataclass(frozen=True, slots=True)
class Release:
    """A release of a project."""

    text: str | None  # the version as upstream lists it; None: of files that have none
    version: Version | None  # None: not valid by PEP 440
    files: tuple[File, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """A project as its page describes it, and its legacy JSON if a filter needs that."""

    project: NormalizedName
    page: ProjectPage
    files: tuple[ReleaseFile, ...]
    legacy: JsonObject
    _legacy_files: Mapping[str, JsonObject]

    @classmethod
    def of(cls, project: NormalizedName, page: ProjectPage, legacy: JsonObject | None) -> Self:
        """Find the release of each file on a page."""
        versions = Versions(project, page.versions or ())
        files = (ReleaseFile(file, *versions.split(file.filename)) for file in page.files)
        legacy = legacy or {}
        legacy_files = {str(file.get("filename")): file for file in legacy_json.files(legacy)}
        return cls(project, page, tuple(files), legacy, legacy_files)

    def releases(self, files: Iterable[ReleaseFile]) -> list[Release]:
        """Return the releases of some of the files, and those that upstream lists without files."""
        found: dict[str | None, list[File]] = {text: [] for text in self.page.versions or ()}
        for each in files:
            found.setdefault(each.release, []).append(each.file)
        had_files = {each.release for each in self.files}
        return [
            Release(text, None if text is None else parse_version(text), tuple(files))
            for text, files in found.items()
            if files or text not in had_files
        ]

    def legacy_of(self, each: ReleaseFile) -> JsonObject:
        """Return what the legacy JSON says of a file, under the names that bandersnatch uses."""
        return {
            "info": self.legacy.get("info"),
            "release": each.release,
            "release_file": self._legacy_files.get(each.file.filename),
        }
