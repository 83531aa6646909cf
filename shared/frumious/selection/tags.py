"""The filter of files that some platforms and Python versions can install: by wheel tags."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Final, Self

from packaging import tags
from packaging.tags import Tag

from frumious.config import filters, values
from frumious.selection.platforms import FAMILIES, built_for
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from frumious.config.filters import FilterOptions
    from frumious.selection.subject import ReleaseFile, Subject

_SECTION: Final = "allowlist"
_NEWEST: Final = 99  # minor version of a C library, or macOS: where any is allowed
_ALIASES: Final = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}  # by glibc (PEP 600)
_ARCHITECTURE: Final = "_(?P<architecture>[a-z][a-z0-9_]*)"
_LINUX: Final = re.compile(
    r"(?P<libc>many|musl)?linux(?P<alias>1|2010|2014)?"
    rf"(?:_(?P<major>\d{{1,2}})_(?P<minor>\d{{1,3}}))?{_ARCHITECTURE}"
)
_MACOS: Final = re.compile(
    rf"macosx?(?:_(?P<major>\d{{1,2}})_(?P<minor>\d{{1,2}}))?{_ARCHITECTURE}"
)
_IOS: Final = re.compile(rf"ios_(?P<major>\d{{1,2}})_(?P<minor>\d{{1,2}}){_ARCHITECTURE}")
_ANDROID: Final = re.compile(rf"android_(?P<level>\d{{1,3}}){_ARCHITECTURE}")
# Platform tags that are compatible with no others.
_EXACT: Final = re.compile(
    r"win32|win_[a-z0-9]+|(?:free|open|net)bsd_\w+|(?:pyodide|pyemscripten|emscripten)_\w+"
)
_PYTHON: Final = re.compile(r"(?:py|cp|(?P<pypy>pp))?(?P<major>\d)\.?(?P<minor>\d+)(?P<threads>t?)")
_ABI: Final = re.compile(r"[a-z0-9_]+")
_NONE: Final[frozenset[str]] = frozenset()
_SOME: Final = "*"  # a platform, where only the others of a tag count
_PYPY: Final = "pypy"  # any ABI of PyPy: its names do not follow from the version


class AllowedPlatforms(Value, frozen=True):
    """The files that one of the platforms and of the Python versions can install."""

    name: ClassVar = "allowlist_platform"
    needs_legacy: ClassVar = False
    platforms: frozenset[str]  # families, and the newest tags of platforms; empty: all
    pythons: frozenset[str]  # such as 3.12, 3.13t and pp3.10; empty: all
    abis: frozenset[str]  # empty: all
    sdists: bool

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[allowlist] platforms`, `pythons`, `abis` and `sdists`."""
        get = options.reader.get
        platforms = get(_SECTION, "platforms", _words(_is_platform, _PLATFORM_HINT), _NONE)
        pythons = get(_SECTION, "pythons", _words(_PYTHON.fullmatch, _PYTHON_HINT), _NONE)
        abis = get(_SECTION, "abis", _words(_ABI.fullmatch, _ABI_HINT), _NONE)
        sdists = get(_SECTION, "sdists", values.boolean, True)
        used = platforms or pythons or abis or not sdists
        return cls(platforms, pythons, abis, sdists) if used else None

    def wants(self, _: Subject, each: ReleaseFile) -> bool:
        """Return whether the file is for an allowed environment; what no name says counts as so."""
        filename = each.file.filename.lower()
        if filename.endswith(".whl"):
            parts = filename.removesuffix(".whl").rsplit("-", 3)[1:]
            return len(parts) < 3 or any(map(self._allows, tags.parse_tag("-".join(parts))))  # noqa: PLR2004
        platform, python = built_for(each)
        if not platform and not python and not filename.endswith((".egg", "-variants.json")):
            return self.sdists
        numbers = {"".join(_parsed(text)[1:3]) for text in self.pythons}
        is_for_python = not (python and numbers) or python in numbers
        return is_for_python and (not platform or self._allows_platform(platform))

    def _allows(self, tag: Tag) -> bool:
        if self.abis and tag.abi not in {*self.abis, "none"}:
            return False
        if self.pythons:
            platform = "any" if tag.platform == "any" else _SOME
            abi = _PYPY if tag.abi.startswith(_PYPY) else tag.abi
            if Tag(tag.interpreter, abi, platform) not in _interpreter_tags(self.pythons):
                return False
        return tag.platform == "any" or self._allows_platform(tag.platform)

    def _allows_platform(self, platform: str) -> bool:
        if not self.platforms:
            return True
        allowed = _platform_tags(self.platforms)
        families = (each for name in self.platforms for each in FAMILIES.get(name, ()))
        return (
            platform in allowed
            or any(f"{platform}_".startswith(f"{family}_") for family in families)
            # The name of an installer may not have the architecture.
            or any(each.startswith(f"{platform}_") for each in allowed)
        )


@cache
def _interpreter_tags(pythons: frozenset[str]) -> frozenset[Tag]:
    """Return the tags that some versions of Python install, on one platform and on any."""
    return frozenset(tag for text in pythons for tag in _tags_of_python(text))


def _tags_of_python(text: str) -> Iterator[Tag]:
    pypy, major, minor, threads = _parsed(text)
    version = int(major), int(minor)
    if pypy:
        yield from tags.generic_tags(f"pp{major}{minor}", [_PYPY], [_SOME])
        yield from tags.compatible_tags(version, f"pp{major}", [_SOME])
        return
    interpreter = f"cp{major}{minor}"
    flags = ("m", "mu") if version < (3, 3) else ("m",) if version < (3, 8) else (threads,)
    abis = [f"{interpreter}{flag}" for flag in flags]
    yield from tags.cpython_tags(version, abis, [_SOME])
    yield from tags.compatible_tags(version, interpreter, [_SOME])


def _parsed(text: str) -> tuple[str, str, str, str]:
    found = _PYTHON.fullmatch(text)
    assert found is not None  # noqa: S101 (it was when the option was read)
    return found["pypy"] or "", found["major"], found["minor"], found["threads"]


@cache
def _platform_tags(platforms: frozenset[str]) -> frozenset[str]:
    """Return the platform tags of wheels that some platforms install."""
    return frozenset(tag for platform in platforms for tag in _tags_of_platform(platform))


def _tags_of_platform(platform: str) -> Iterator[str]:
    if found := _LINUX.fullmatch(platform):
        yield from _linux_tags(found)
    elif found := _MACOS.fullmatch(platform):
        version = int(found["major"] or _NEWEST), int(found["minor"] or 0)
        yield from tags.mac_platforms(version, found["architecture"])
    elif found := _IOS.fullmatch(platform):
        version = int(found["major"]), int(found["minor"])
        yield from tags.ios_platforms(version, found["architecture"])
    elif found := _ANDROID.fullmatch(platform):
        yield from tags.android_platforms(int(found["level"]), found["architecture"])
    else:
        yield platform


def _linux_tags(found: re.Match[str]) -> Iterator[str]:
    """Yield the tags of a Linux: of its C library up to a version, or of any without one."""
    architecture = found["architecture"]
    yield f"linux_{architecture}"
    aliases = {alias.removeprefix("manylinux"): minor for minor, alias in _ALIASES.items()}
    newest = int(found["minor"] or aliases.get(found["alias"] or "", _NEWEST))
    for libc, major in (("many", "2"), ("musl", "1")):
        if found["libc"] not in {None, libc}:
            continue
        for minor in range(newest, -1, -1):
            yield f"{libc}linux_{found['major'] or major}_{minor}_{architecture}"
            if libc == "many" and minor in _ALIASES:
                yield f"{_ALIASES[minor]}_{architecture}"


def _is_platform(text: str) -> bool:
    return text in FAMILIES or any(
        pattern.fullmatch(text) for pattern in (_LINUX, _MACOS, _IOS, _ANDROID, _EXACT)
    )


_PLATFORM_HINT: Final = (
    "windows, macos, linux, linux_x86_64, macos_arm64, or the newest platform tag that a machine"
    " installs, such as manylinux_2_28_x86_64, musllinux_1_2_aarch64, macosx_14_0_arm64, win_amd64"
)
_PYTHON_HINT: Final = "versions of Python such as 3.12, 3.13t (free-threaded) or pp3.10 (PyPy)"
_ABI_HINT: Final = "ABI tags such as cp312 or abi3"


def _words(is_valid: Callable[[str], object], hint: str) -> Callable[[str], frozenset[str]]:
    """Return a parser of words that are all valid."""

    def parse(text: str) -> frozenset[str]:
        words = " ".join(filters.lines(text.lower())).split()
        wrong = [word for word in words if not is_valid(word)]
        if wrong:
            msg = f"{', '.join(wrong)}: must be {hint}"
            raise ValueError(msg)
        return frozenset(words)

    return parse
