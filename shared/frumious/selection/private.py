"""Private projects: names that upstream is never asked for (dependency confusion)."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from frumious.config import filters
from frumious.config.choices import Backend
from frumious.errors import FrumiousError
from frumious.model.private import PrivateListing

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.config.reader import Reader

_SECTION: Final = "private"
_PATTERN: Final = re.compile(r"[a-z0-9*]+(-[a-z0-9*]+)*")
_MIN_LITERALS: Final = 3  # letters and digits of a pattern: one mistake must not hide all of PyPI


class PrivateName(FrumiousError):
    """A request to upstream that would have a private name: it is not made."""


@dataclass(slots=True)
class PrivateProjects:
    """The names that are private: those of the configuration, and those of the private directory.

    All parts of a process share one object. Only `listing` changes: each run lists the directory.
    """

    packages: tuple[str, ...] = ()  # names and patterns, normalised
    directory: str = ""  # absolute, or s3://bucket/prefix
    released: frozenset[NormalizedName] = frozenset()  # public again once they have no file
    listing: PrivateListing = field(default_factory=PrivateListing)
    _matching: re.Pattern[str] | None = None

    def __post_init__(self) -> None:
        if self.packages:
            parts = (re.escape(each).replace(r"\*", ".*") for each in self.packages)
            self._matching = re.compile("|".join(parts))

    def __bool__(self) -> bool:
        """Return whether any project may be private."""
        return bool(self.packages or self.directory)

    @property
    def fingerprint(self) -> tuple[object, ...]:
        """What identifies the configuration of private projects; empty without any."""
        if not self:
            return ()
        return (self.packages, self.directory) if self.directory else (self.packages,)

    def has(self, project: NormalizedName) -> bool:
        """Return whether a project is private."""
        return project in self.listing.projects or (
            self._matching is not None and self._matching.fullmatch(project) is not None
        )

    def has_files(self, project: NormalizedName) -> bool:
        """Return whether the private directory has files of a project."""
        return bool(self.listing.files(project))

    def check(self, project: NormalizedName) -> None:
        """Make sure that upstream may be asked for a project.

        Raises:
            PrivateName: it must not be.
        """
        if self.has(project):
            msg = f"{project!r} is private ([private] in mirror.conf): upstream is not asked"
            raise PrivateName(msg)

    @classmethod
    def read(cls, reader: Reader, backend: Backend, mirror: str) -> PrivateProjects:
        """Read the section `[private]`; `mirror` is the mirror's own directory."""
        none: tuple[str, ...] = ()
        packages = reader.get(_SECTION, "packages", _packages, none)
        directory = reader.get(_SECTION, "directory", _directory, "")
        released = reader.get(_SECTION, "released", filters.names, frozenset["NormalizedName"]())
        own = f"s3:/{mirror}" if backend is Backend.S3 else mirror
        if directory and _overlap(directory, own):
            reader.add_mistake(_SECTION, "directory", "it overlaps with the mirror's own directory")
        return cls(packages, directory, released)


def _directory(text: str) -> str:
    """Parse the absolute path of a folder, or s3://bucket/prefix."""
    if not text:
        return ""
    is_bucket = text.startswith("s3://")
    parsed = posixpath.normpath("/" + text.removeprefix("s3://").lstrip("/"))
    if parsed == "/" or not (is_bucket or text.startswith("/")):
        msg = "must be the absolute path of a folder, or s3://bucket/prefix"
        raise ValueError(msg)
    return f"s3:/{parsed}" if is_bucket else parsed


def _overlap(directory: str, other: str) -> bool:
    one, two = PurePosixPath(directory), PurePosixPath(other)
    return one.is_relative_to(two) or two.is_relative_to(one)


def _packages(text: str) -> tuple[str, ...]:
    """Parse names and patterns, one on each line."""
    packages = sorted({re.sub(r"[-_.]+", "-", line).lower() for line in filters.lines(text)})
    for each in packages:
        literals = len(re.sub(r"[-*]", "", each))
        if not _PATTERN.fullmatch(each) or ("*" in each and literals < _MIN_LITERALS):
            msg = (
                f"{each!r:.120} is not a project's name, or a pattern such as acme-* with at least"
                f" {_MIN_LITERALS} letters or digits"
            )
            raise ValueError(msg)
    return tuple(packages)
