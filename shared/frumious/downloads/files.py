"""Which project and release a requested path belongs to, by the file's name alone."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from packaging.utils import canonicalize_name

from frumious.downloads.fields import decode_url
from frumious.errors import FrumiousError
from frumious.model.layout import is_project
from frumious.selection.filenames import Versions, is_filename, owners_of, parse_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.utils import NormalizedName

_FILE: Final = re.compile(r".*/packages/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28,124}/([^/]+)")
_SEPARATORS: Final = re.compile(r"[-_.]+")
_CACHED: Final = 65_536  # names of files


class InvalidSubject(FrumiousError):
    """What is neither a project nor a release nor a file."""


class Release(NamedTuple):
    """A release that a file may belong to."""

    project: NormalizedName
    version: str | None  # None: the file's name does not say


def filename_of(path: str) -> str | None:
    """Return the name of the file that a path is for; None for pages, metadata and all else."""
    if "/packages/" not in path:
        return None
    found = _FILE.fullmatch(decode_url(path.partition("?")[0]))
    if found is None or found[1].endswith(".metadata") or not found[1].isprintable():
        return None
    return found[1]


@lru_cache(_CACHED)
def releases_of(filename: str) -> Sequence[Release]:
    """Return the releases that a file can belong to, the likeliest first.

    Several are possible only for names such as `name-1.0-1.tar.gz`: version `1.0-1` of `name`, or
    version `1` of `name-1.0`.
    """
    found = []
    for project in owners_of(filename):
        version, rest = Versions(project, ()).split(filename)
        is_wheel = filename.endswith(".whl")
        found.append((version is None, bool(rest) and not is_wheel, len(project), project, version))
    found.sort(key=lambda each: each[:4])
    return [Release(each[3], each[4]) for each in found if each[:2] == found[0][:2]]


@lru_cache(_CACHED)
def projects_of(filename: str) -> Sequence[NormalizedName]:
    """Return the projects of `releases_of`, in less time."""
    owners = owners_of(filename)
    if len(owners) > 1:
        return [release.project for release in releases_of(filename)]
    return [*owners]


class Subject:
    """A project, one of its releases, or one file."""

    def __init__(self, text: str) -> None:
        """Parse `six`, `six==1.16.0` or `six-1.16.0.tar.gz`.

        Raises:
            InvalidSubject: it is none of them.
        """
        name, has_version, version = (each.strip() for each in text.partition("=="))
        self._filename = text if is_filename(text) else None
        self._project = canonicalize_name(name)
        self._prefix = f"{self._project}-"
        self._version = version or None
        if self._filename is None and (
            not is_project(self._project) or bool(has_version) != bool(version)
        ):
            msg = f"{text!r} is no project, such as six, no release, such as six==1.16.0, no file"
            raise InvalidSubject(msg)

    def has(self, filename: str) -> bool:
        """Return whether a file belongs to the subject; in doubt, it does."""
        if self._filename is not None:
            return filename == self._filename
        return _SEPARATORS.sub("-", filename).lower().startswith(self._prefix) and any(
            release.project == self._project and self._has_version(release.version)
            for release in releases_of(filename)
        )

    def _has_version(self, version: str | None) -> bool:
        if self._version is None or version is None:
            return True
        wanted = parse_version(self._version)
        return wanted is not None and wanted == parse_version(version)
