"""The filter of files by their platforms and Python versions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final, Self

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from frumious.value import Value

if TYPE_CHECKING:
    from packaging.tags import Tag

    from frumious.config.filters import FilterOptions
    from frumious.selection.subject import ReleaseFile, Subject

# Beginnings of platform tags (PEP 425, 600, 656, 730, 738).
FAMILIES: Final = {
    "windows": ("win32", "win"),
    "win": ("win32", "win"),
    "macos": ("macosx",),
    "macosx": ("macosx",),
    "linux": ("linux", "manylinux", "manylinux1", "manylinux2010", "manylinux2014", "musllinux"),
    "freebsd": ("freebsd",),
}
# The platforms of installers, which do not name it.
_INSTALLERS: Final = {
    "exe": "win32",
    "msi": "win32",
    "dmg": "macosx",
    "rpm": "linux",
    "deb": "linux",
}
_PYTHON: Final = re.compile(r"py(\d)(?:\.?(\d+))?")
_INTERPRETER: Final = re.compile(r"[a-z]+(\d+)")
_LEGACY: Final = re.compile(
    r"[.-](?P<platform>(?:win|macosx|linux|freebsd)[a-z0-9_.-]*?)(?=-py\d|$)"
)
_LEGACY_PYTHON: Final = re.compile(r"-py(\d)\.(\d+)")


class ExcludedPlatforms(Value, frozen=True):
    """All files but those that are only for excluded platforms or Python versions; sdists stay."""

    name: ClassVar = "exclude_platform"
    needs_legacy: ClassVar = False
    platforms: frozenset[str]  # beginnings of platform tags
    pythons: frozenset[str]  # digits, such as 3 and 39

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[blocklist] platforms`: families, platform tags, and Python versions."""
        tags = options.reader.get("blocklist", "platforms", _tags, frozenset[str]())
        pythons = frozenset(
            found[1] + (found[2] or "") for found in map(_PYTHON.fullmatch, tags) if found
        )
        platforms = frozenset(
            beginning
            for tag in tags
            if not _PYTHON.fullmatch(tag)
            for beginning in FAMILIES.get(tag, (re.sub("[.-]", "_", tag).strip("_"),))
        )
        return cls(platforms, pythons) if tags else None

    def wants(self, _: Subject, each: ReleaseFile) -> bool:
        """Return whether the file is for anything that is not excluded."""
        filename = each.file.filename.lower()
        if filename.endswith(".whl"):
            try:
                tags = parse_wheel_filename(each.file.filename)[3]
            except InvalidWheelFilename:
                return True
            return not all(map(self._excludes, tags))
        platform, python = built_for(each)
        return not self._excludes_platform(platform) and python not in self.pythons

    def _excludes(self, tag: Tag) -> bool:
        interpreter = _INTERPRETER.fullmatch(tag.interpreter)
        # Later versions of Python can install a wheel for the stable ABI, too.
        if interpreter and interpreter[1] in self.pythons and tag.abi != "abi3":
            return True
        return self._excludes_platform(tag.platform)

    def _excludes_platform(self, platform: str) -> bool:
        return any(
            platform == beginning or platform.startswith(f"{beginning}_")
            for beginning in self.platforms
        )


def built_for(each: ReleaseFile) -> tuple[str, str]:
    """Return the platform tag and the digits of the Python version of a file that is no wheel.

    They are empty where its name does not say them, as those of sdists.
    """
    found = _LEGACY.search(each.tags.lower())
    extension = each.file.filename.lower().rpartition(".")[2]
    platform = found["platform"] if found else _INSTALLERS.get(extension, "")
    python = _LEGACY_PYTHON.search(each.tags)
    return re.sub("[.-]", "_", platform), python[1] + python[2] if python else ""


def _tags(text: str) -> frozenset[str]:
    tags = frozenset(text.lower().split())
    unknown = sorted(tag for tag in tags if not re.fullmatch(r"[.-]?[a-z0-9][a-z0-9_.-]*", tag))
    if unknown:
        msg = (
            f"{', '.join(unknown)}: must be windows, macos, linux, freebsd, a platform tag such as"
            " manylinux2014_x86_64, or a version of Python such as py3.8"
        )
        raise ValueError(msg)
    return tags
