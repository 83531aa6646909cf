"""Private projects: what a listing of the private directory found, as the ledger keeps it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from frumious.model.types import Count, ProjectName, Seconds

if TYPE_CHECKING:
    from collections.abc import Container

    from packaging.utils import NormalizedName

_Text = Annotated[str, Meta(max_length=4096)]


class PrivateFile(Struct, frozen=True):
    """A wheel or an sdist in the private directory."""

    path: _Text  # relative to the directory
    size: Count
    modified: Seconds
    etag: _Text = ""  # of an object in a bucket

    @property
    def filename(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def identity(self) -> str:
        """Identify its bytes without reading them."""
        return f"{self.size} {self.modified!r} {self.etag}".strip()


class PrivateProject(Struct, frozen=True):
    """A project of the private directory; without files: it had some once, and stays private."""

    files: tuple[PrivateFile, ...] = ()
    planned: _Text = ""  # the fingerprint of the files for which a run was opened

    @property
    def fingerprint(self) -> str:
        """Identify all of its files."""
        lines = "\n".join(f"{file.path}\t{file.identity}" for file in self.files)
        return hashlib.sha256(lines.encode()).hexdigest()[:32]

    @property
    def is_planned(self) -> bool:
        """Whether a run was opened for these files."""
        return self.planned == self.fingerprint


class PrivateListing(Struct, frozen=True, kw_only=True):
    """The projects of the private directory."""

    directory: _Text = ""  # where they were found
    projects: Mapping[ProjectName, PrivateProject] = {}
    problems: Mapping[_Text, _Text] = {}  # path -> why it is not published or read

    @property
    def problem_lines(self) -> tuple[str, ...]:
        """A sentence for each file that is passed over, and for a directory that is not read."""
        return tuple(
            f"private {'directory' if path == self.directory else 'file'} {path!r}: {why}"
            for path, why in self.problems.items()
        )

    @property
    def has_lost(self) -> bool:
        """Whether projects have no files any more, and no run was opened for that."""
        return any(not each.files and not each.is_planned for each in self.projects.values())

    def planning(self, withheld: Container[NormalizedName]) -> PrivateListing:
        """Return the same once runs are open for all projects but those that are `withheld`."""
        projects = {
            name: each if name in withheld else replace(each, planned=each.fingerprint)
            for name, each in self.projects.items()
        }
        return replace(self, projects=projects)

    def files(self, project: NormalizedName) -> tuple[PrivateFile, ...]:
        """Return the files of a project."""
        found = self.projects.get(project)
        return () if found is None else found.files
