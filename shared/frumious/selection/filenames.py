"""What a file's name says: its project and its release."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name, is_normalized_name
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.utils import NormalizedName

_MAX_LENGTH: Final = 255  # no file system has longer ones; their parts could be millions
# Of every kind of distribution that PyPI has accepted (PEP 527 lists most of them).
_EXTENSION: Final = re.compile(
    r"\.(?:tar\.(?:gz|bz2|xz|Z|lzma)|tgz|tbz|tar|zip|egg|exe|msi|rpm|dmg|deb)$", re.IGNORECASE
)
_SEPARATOR: Final = re.compile(r"[-.+_]")


def parse_version(text: str) -> Version | None:
    """Return a version; None if it is not valid by PEP 440."""
    try:
        return Version(text)
    except InvalidVersion:
        return None


def is_filename(text: str) -> bool:
    """Return whether a text has the form of a distribution's filename."""
    return "-" in text and bool(text.endswith(".whl") or _EXTENSION.search(text))


def owners_of(filename: str) -> frozenset[NormalizedName]:
    """Return the projects that a file can belong to by its name; none if the name does not say.

    A project's name has no dash in the name of a wheel or of a release's variants (draft PEP 825).
    It may have some in every other name, and so may the version: `name-1.0-1.tar.gz` can belong to
    `name` and to `name-1-0`.
    """
    if len(filename) > _MAX_LENGTH:
        return frozenset()
    stem = filename.removesuffix(".whl").removesuffix("-variants.json")
    parts = stem.split("-")
    if stem == filename:
        names = ["-".join(parts[:end]) for end in range(1, len(parts))]
    else:
        names = parts[:1]
    owners = (canonicalize_name(name) for name in names if name.isascii())
    return frozenset(owner for owner in owners if is_normalized_name(owner))


class Versions:
    """Finds the releases of a project's files by their names.

    `listed` are the versions that upstream lists, if it does. They decide where a name can have
    several meanings: `name-1.0-1.tar.gz` is a file of the post-release 1.0-1, or of 1.0.
    """

    def __init__(self, project: NormalizedName, listed: Iterable[str]) -> None:
        self._project = project
        self._listed: dict[Version | str, str] = {
            parse_version(text) or text: text for text in listed
        }
        self._unlisted: dict[Version, str] = {}

    def split(self, filename: str) -> tuple[str | None, str]:
        """Return the version in a filename as upstream lists it, and what follows it.

        What follows is without the extension: `.win32-py2.7`. The version is None where the name
        has none.
        """
        if len(filename) > _MAX_LENGTH:
            return None, ""
        stem = filename.removesuffix(".whl").removesuffix("-variants.json")
        if stem != filename:
            _, _, rest = stem.partition("-")
            text, _, tags = rest.partition("-")
            return self._as_listed(text) or self._as_unlisted(text), tags
        unlisted: tuple[str | None, str] = None, ""
        for rest in self._after_project(filename):
            for end in _ends(rest):
                listed = self._as_listed(rest[:end])
                if listed is not None:
                    return listed, rest[end:]
                if unlisted[0] is None:
                    unlisted = self._as_unlisted(rest[:end]), rest[end:]
        return unlisted if unlisted[0] is not None else (self._contained(stem), "")

    def _as_listed(self, text: str) -> str | None:
        return self._listed.get(parse_version(text.replace("_", "-")) or text)

    def _contained(self, text: str) -> str | None:
        """Return the longest listed version that is a word of a text: names were free once."""
        words = (word.strip(".") for word in re.split(r"[^A-Za-z0-9.!+]+", text))
        return max(filter(None, map(self._as_listed, words)), key=len, default=None)

    def _as_unlisted(self, text: str) -> str | None:
        """Return a version as the first filename has it; None if it is not valid by PEP 440."""
        version = parse_version(text.replace("_", "-"))
        return None if version is None else self._unlisted.setdefault(version, text)

    def _after_project(self, filename: str) -> Iterator[str]:
        """Yield what may follow the project in a filename, without the extension."""
        parts = _EXTENSION.sub("", filename).split("-")
        for end in range(1, len(parts)):
            name = "-".join(parts[:end])
            if name.isascii() and canonicalize_name(name) == self._project:
                yield "-".join(parts[end:])


def _ends(text: str) -> Iterator[int]:
    """Yield where a version at the beginning of a text may end, the last end first."""
    yield len(text)
    yield from (found.start() for found in reversed([*_SEPARATOR.finditer(text)]))
