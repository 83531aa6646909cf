"""What the lists that others keep select, as `state/lists.json` keeps it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta, Struct
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from frumious.model.types import ProjectName, Seconds

if TYPE_CHECKING:
    from frumious.model.pages import File

MAX_REQUIREMENT: Final = 4096  # characters
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


class ReadList(Struct, frozen=True, kw_only=True):
    """A list as it was last read."""

    source: str  # file, s3:// or https address, without what may be secret
    etag: str = ""  # of the last response
    failing: Seconds = 0.0  # since when it cannot be read; 0: it can
    problem: str = ""  # why


class LockedList(ReadList, frozen=True, kw_only=True):
    """A lock file."""

    pins: Mapping[ProjectName, tuple[Pin, ...]]
    left_out: tuple[str, ...] = ()  # what the list has from elsewhere than the index, and why


class RequirementsList(ReadList, frozen=True, kw_only=True):
    """A requirements file of `[allowlist] requirements`."""

    requirements: tuple[Annotated[str, Meta(max_length=MAX_REQUIREMENT)], ...]

    def __post_init__(self) -> None:
        """Raise ValueError if a requirement is not valid."""
        for text in self.requirements:
            _requirement(text)

    @property
    def entries(self) -> tuple[Requirement, ...]:
        """The requirements."""
        return tuple(map(_requirement, self.requirements))


class TopList(ReadList, frozen=True, kw_only=True):
    """A list of download counts."""

    projects: tuple[ProjectName, ...]  # those with the most downloads first


class Lists(Struct, frozen=True, kw_only=True):
    """All lists that the configuration names and that are read when a run is planned."""

    lists: tuple[LockedList, ...] = ()
    requirements: tuple[RequirementsList, ...] = ()
    top: tuple[TopList, ...] = ()  # at most one
    read_by: str = ""  # the version and the options by which they were parsed

    @property
    def pins(self) -> dict[ProjectName, tuple[Pin, ...]]:
        """What the lock files pin together."""
        merged: dict[ProjectName, tuple[Pin, ...]] = {}
        for each in self.lists:
            for project, pins in each.pins.items():
                merged[project] = (*merged.get(project, ()), *pins)
        return merged

    @property
    def entries(self) -> tuple[Requirement, ...]:
        """What the requirements files require together."""
        return tuple(entry for each in self.requirements for entry in each.entries)

    @property
    def failing(self) -> tuple[ReadList, ...]:
        """The lists that cannot be read, whose last good copies count."""
        return tuple(each for each in (*self.lists, *self.requirements, *self.top) if each.failing)

    @property
    def fingerprint(self) -> str:
        """A hash of what the lists select."""
        selected: list[object] = [each.pins for each in self.lists]
        if self.requirements or self.top:  # of lock files alone as all versions made it
            selected += [[each.requirements for each in self.requirements]]
            selected += [[each.projects for each in self.top]]
        payload = msgspec.json.encode(selected, order="deterministic")
        return hashlib.sha256(payload).hexdigest()[:16]


@lru_cache(maxsize=8192)  # each batch makes filters of the same requirements
def _requirement(text: str) -> Requirement:
    try:
        return Requirement(text)
    except RecursionError as error:
        msg = f"{text!r:.80} is nested too deeply"
        raise ValueError(msg) from error
