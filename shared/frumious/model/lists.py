"""What lock files and requirements files pin, as `state/lists.json` keeps it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct
from packaging.specifiers import SpecifierSet

from frumious.model.types import ProjectName

if TYPE_CHECKING:
    from frumious.model.pages import File

Digest = Annotated[str, Meta(pattern=r"\A[a-z0-9_]{2,16}:[0-9a-f]{32,128}\Z")]


class PinnedFile(Struct, frozen=True, array_like=True):
    """A file that a list pins: by its name, its hashes, or both."""

    name: Annotated[str, Meta(max_length=1024)]  # empty: the list does not have it
    hashes: tuple[Digest, ...]  # such as sha256:...

    def matches(self, file: File) -> bool:
        """Return whether an index's file is this one: no hash of the same kind may differ."""
        if self.name and self.name != file.filename:
            return False
        hashes = dict(each.split(":") for each in self.hashes)
        common = hashes.keys() & file.hashes.keys()
        if not common:
            return bool(self.name)
        return all(hashes[name] == file.hashes[name].lower() for name in common)


class Pin(Struct, frozen=True, array_like=True):
    """What a list pins of a project."""

    version: Annotated[str, Meta(max_length=1024)]  # a version specifier; empty: any version
    files: tuple[PinnedFile, ...]  # empty: all of the version

    def __post_init__(self) -> None:
        """Raise ValueError if the specifier is not valid."""
        SpecifierSet(self.version)


class LockedList(Struct, frozen=True, kw_only=True):
    """A list as it was last read."""

    source: str  # file, s3:// or https address
    etag: str = ""  # of the last response
    pins: Mapping[ProjectName, tuple[Pin, ...]]
    left_out: tuple[str, ...] = ()  # what the list has from elsewhere than the index, and why


class Lists(Struct, frozen=True, kw_only=True):
    """All lists that the configuration names."""

    lists: tuple[LockedList, ...] = ()
    read_by: str = ""  # the version and the addresses of the index by which they were parsed

    @property
    def pins(self) -> dict[ProjectName, tuple[Pin, ...]]:
        """What the lists pin together."""
        merged: dict[ProjectName, tuple[Pin, ...]] = {}
        for each in self.lists:
            for project, pins in each.pins.items():
                merged[project] = (*merged.get(project, ()), *pins)
        return merged

    @property
    def fingerprint(self) -> str:
        """A hash of what the lists pin."""
        payload = msgspec.json.encode([each.pins for each in self.lists], order="deterministic")
        return hashlib.sha256(payload).hexdigest()[:16]
