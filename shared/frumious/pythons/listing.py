"""Lists of builds in the format of uv's download-metadata.json.

crates/uv-python/src/downloads.rs of astral-sh/uv has the format (`JsonPythonDownload`) and how uv
makes addresses: UV_PYTHON_INSTALL_MIRROR takes the place of an address up to and including
`/releases/download`, UV_PYPY_INSTALL_MIRROR that of `https://downloads.python.org/pypy`.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Struct
from packaging.version import Version

from frumious.config.pythons import DEFAULT_VARIANT
from frumious.errors import FrumiousError
from frumious.model import layout
from frumious.model.types import Key
from frumious.redaction import redact
from frumious.simple.parse_json import json_object
from frumious.simple.values import InvalidPage, without_lone_surrogates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from frumious.config.pythons import PythonBuilds

_MARKS: Final = {"pypy": "/pypy/"}  # what precedes the part of an address that uv keeps
_MARK: Final = "/releases/download/"
_PATH: Final = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]*(?:/[A-Za-z0-9_+][A-Za-z0-9._+-]*){0,3}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_MAX_NAME: Final = 200  # characters of an implementation's name, and of the path below it


class InvalidList(FrumiousError):
    """What should be a list of builds is none."""


class _Arch(Struct):
    family: str
    variant: str | None = None


class _Entry(Struct):
    name: str
    arch: _Arch
    os: str
    libc: str
    major: int
    minor: int
    patch: int
    url: str
    prerelease: str | None = None
    sha256: str | None = None
    variant: str | None = None

    @property
    def version(self) -> Version:
        return Version(f"{self.major}.{self.minor}.{self.patch}{self.prerelease or ''}")

    @property
    def platform(self) -> str:
        arch = f"{self.arch.family}_{self.arch.variant}" if self.arch.variant else self.arch.family
        return f"{self.os}-{arch}-{self.libc}"


@dataclass(frozen=True, slots=True)
class Build:
    """A build that a list names."""

    name: str  # in the list
    key: Key
    url: str
    sha256: str
    entry: Mapping[str, Any]  # as the list has it, without a query in its address


def parse(body: bytes, source: str) -> dict[str, Any]:
    """Parse a list.

    Raises:
        InvalidList: it is no JSON object of objects.
    """
    try:
        payload = json_object(without_lone_surrogates(body), source)
        entries = msgspec.convert(payload, dict[str, dict[str, Any]])
    except (ValueError, InvalidPage) as error:
        reason = str(error) if isinstance(error, InvalidPage) else "is no object of objects"
        msg = (
            f"{source!r} is no list of builds in the format of uv's download-metadata.json:"
            f" it {reason.removeprefix(f'{source} ')}"
        )
        raise InvalidList(msg) from error
    return dict(entries)


def platforms(entries: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return the platforms of a list; builds that are not valid have none."""
    found = set()
    for values in entries.values():
        with suppress(ValueError):
            found.add(msgspec.convert(values, _Entry).platform)
    return found


def render(builds: Iterable[Build]) -> bytes:
    """Render a list; uv reads it with UV_PYTHON_DOWNLOADS_JSON_URL."""
    entries = {build.name: build.entry for build in builds}
    return msgspec.json.format(msgspec.json.encode(entries, order="deterministic"), indent=1)


def select(
    entries: Mapping[str, Mapping[str, Any]], policy: PythonBuilds | None
) -> tuple[dict[Key, Build], list[str]]:
    """Return the selected builds by key, and why others cannot be mirrored; no policy: all."""
    builds: dict[Key, Build] = {}
    problems: list[str] = []
    for name, values in entries.items():
        try:
            entry = msgspec.convert(values, _Entry)
            variant = entry.variant or DEFAULT_VARIANT
            if policy and not policy.selects(entry.name, entry.version, entry.platform, variant):
                continue
            key = _key(entry)
        except (ValueError, InvalidList) as error:  # values, versions and addresses
            problems.append(f"{name!r:.200}: {error}")
            continue
        sha256 = (entry.sha256 or "").lower()
        if _SHA256.fullmatch(sha256) is None:
            problems.append(f"{name!r:.200}: the list has no sha256 of it")
        elif key in builds and builds[key].sha256 != sha256:
            problems.append(f"{name!r:.200}: {key!r} is in the list with two digests")
        else:
            public = {**values, "url": entry.url.partition("?")[0]}  # it may be a signature
            builds.setdefault(key, Build(name, key, entry.url, sha256, public))
    return builds, problems


def _key(entry: _Entry) -> Key:
    """Return where a build is stored: below its implementation, what uv keeps of its address.

    Raises:
        InvalidList: the address is not one of those that uv redirects to a mirror.
    """
    parts = urlsplit(entry.url)
    if "@" in parts.netloc:
        msg = f"{redact(entry.url)!r:.300} has a user name or password"
        raise InvalidList(msg)
    path = unquote(parts.path)
    _, mark, kept = path.partition(_MARKS.get(entry.name, _MARK))
    if not mark or len(kept) > _MAX_NAME or _PATH.fullmatch(kept) is None:
        msg = f"uv does not redirect {redact(entry.url)!r:.300} to a mirror"
        raise InvalidList(msg)
    is_name = entry.name.isidentifier() and entry.name.isascii() and len(entry.name) <= _MAX_NAME
    if not is_name:
        msg = f"{entry.name!r:.50} is no name of an implementation"
        raise InvalidList(msg)
    return Key(f"{layout.PYTHON_BUILDS}{entry.name}/{kept}")
