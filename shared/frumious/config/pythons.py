"""`[pythons]`: which builds of Python are mirrored, from which list and host."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from frumious.config import values
from frumious.config.options import Options, option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.version import Version

    from frumious.config.reader import Reader
    from frumious.config.settings import Config

SECTION: Final = "pythons"
DEFAULT_VARIANT: Final = "default"
_url: Final = values.url(insecure=True)
_IMPLEMENTATIONS: Final = ("cpython", "pypy", "graalpy")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.lower().split())


def _implementations(text: str) -> tuple[str, ...]:
    names = _words(text)
    if unknown := {*names} - {*_IMPLEMENTATIONS}:
        msg = f"{min(unknown)!r} is none of {', '.join(_IMPLEMENTATIONS)}"
        raise ValueError(msg)
    return names


def _versions(text: str) -> SpecifierSet:
    try:
        return SpecifierSet(text)
    except InvalidSpecifier as error:
        msg = "must be a version specifier such as >=3.11"
        raise ValueError(msg) from error


def _list(text: str) -> str:
    return _url(text) if text.startswith(("http://", "https://")) else text


class PythonBuilds(Options, frozen=True, kw_only=True):
    """Which builds are mirrored. Their list is uv's download-metadata.json, or of its format."""

    list: str = option(_list, "")  # an address, or a file
    host: str = option(values.optional_url(insecure=True), "")  # in place of those of the list
    allowed_hosts: frozenset[values.Address] = option(values.hosts, frozenset[values.Address]())
    implementations: tuple[str, ...] = option(_implementations, ("cpython",))
    versions: SpecifierSet = option(_versions, SpecifierSet())
    platforms: tuple[str, ...] = option(_words, ("*",))  # patterns, as linux-x86_64-gnu
    variants: tuple[str, ...] = option(_words, (DEFAULT_VARIANT,))

    def selects(self, implementation: str, version: Version, platform: str, variant: str) -> bool:
        """Return whether a build is mirrored; previews are where the specifier names one."""
        previews = bool(self.versions.prereleases)
        return (
            implementation in self.implementations
            and self.versions.contains(version, prereleases=previews)
            and any(fnmatchcase(platform, pattern) for pattern in self.platforms)
            and variant in self.variants
        )

    def upstream(self, config: Config) -> Config:
        """Return the configuration of an upstream that serves the builds and no projects."""
        addresses = {values.address(each) for each in (self.host, self.list) if "://" in each}
        return replace(
            config,
            allowed_hosts=self.allowed_hosts | {each for each in addresses if each is not None},
            public_hosts=frozenset(),
            download_mirror=self.host,
            download_mirror_no_fallback=True,
        )


def read_pythons(reader: Reader, environment: Mapping[str, str]) -> PythonBuilds | None:
    """Read `[pythons]`; None: there is no such section, or it names no list."""
    options = reader.options(SECTION, PythonBuilds, environment, hyphens=True)
    return PythonBuilds(**options) if options["list"] else None
