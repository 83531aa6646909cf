"""What filters decide on: a project, its releases and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Self

from msgspec.structs import replace

from frumious.model.advisories import NO_ADVISORIES
from frumious.selection.filenames import Versions, parse_version
from frumious.simple import legacy_json
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from frumious.model.advisories import ProjectAdvisories
    from frumious.model.pages import File, ProjectPage
    from frumious.model.types import JsonObject


class Context(Value, frozen=True, kw_only=True):
    """What filters may need to decide on a project besides its page."""

    now: float = 0.0  # seconds since the epoch
    named: bool = False  # the project was requested by name: filters of projects do not apply
    legacy: JsonObject | None = None  # the legacy JSON, if a filter needs it and there is one
    advisories: ProjectAdvisories = NO_ADVISORIES  # that concern the project


NO_CONTEXT: Final = Context()


class ReleaseFile(NamedTuple):
    """A file of a project."""

    file: File
    release: str | None  # its version, as upstream lists it; None: its name has none
    tags: str  # what follows the version in its name, without the extension


class Release(Value, frozen=True):
    """A release of a project."""

    text: str | None  # the version as upstream lists it; None: of files that have none
    version: Version | None  # None: not valid by PEP 440
    files: tuple[File, ...]


class Subject(Value, frozen=True):
    """A project as its page describes it, and what else filters may need."""

    project: NormalizedName
    page: ProjectPage
    files: tuple[ReleaseFile, ...]
    context: Context
    _legacy_files: Mapping[str, JsonObject]

    @classmethod
    def of(cls, project: NormalizedName, page: ProjectPage, context: Context) -> Self:
        """Find the release of each file on a page."""
        versions = Versions(project, page.versions or ())
        files = (ReleaseFile(file, *versions.split(file.filename)) for file in page.files)
        legacy = legacy_json.files(context.legacy or {})
        legacy_files = {str(file.get("filename")): file for file in legacy}
        return cls(project, page, tuple(files), context, legacy_files)

    def without(self, filenames: Container[str]) -> Subject:
        """Return the same without some of the files, and with the versions of the others alone."""
        files = tuple(each for each in self.files if each.file.filename not in filenames)
        texts = {each.release for each in files}
        versions = self.page.versions
        page = replace(
            self.page,
            files=tuple(each.file for each in files),
            versions=None if versions is None else tuple(v for v in versions if v in texts),
        )
        return replace(self, page=page, files=files)

    @property
    def legacy(self) -> JsonObject:
        """The project's legacy JSON; empty without any."""
        return self.context.legacy or {}

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
