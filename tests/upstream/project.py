"""A project, its files, and its history: what readers see at any serial."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from .content import Content


@dataclass(frozen=True)
class File:
    """An uploaded file. Immutable, but its metadata may be added later."""

    project: NormalizedName
    version: str
    filename: str
    content: Content
    upload_time: datetime
    requires_python: str | None = None
    core_metadata: Content | None = None
    provenance: Mapping[str, Any] | None = None

    @cached_property
    def path(self) -> str:
        """`/packages/<2>/<2>/<60>/<filename>`; hashes the content at the first access."""
        digest = self.content.blake2b_256
        return f"/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{self.filename}"

    @cached_property
    def quoted_path(self) -> str:
        """The path as URLs have it."""
        return quote(self.path, safe="/+!~")


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file on its project's page."""

    file: File
    yanked: bool | str


@dataclass(frozen=True, slots=True)
class ProjectView:
    """A project as readers see it at one serial."""

    name: str
    serial: int
    status: str
    reason: str | None
    files: tuple[ListedFile, ...]  # by version, then by filename

    @property
    def normalized_name(self) -> NormalizedName:
        return canonicalize_name(self.name)


@dataclass(frozen=True, slots=True)
class State:
    """A project's state from `serial` on, without its files."""

    name: str
    serial: int
    exists: bool = True
    status: str = "active"
    reason: str | None = None
    yanked: Mapping[str, bool | str] = field(default_factory=dict)  # version -> True or the reason
    quarantined: frozenset[str] = frozenset()  # versions


@dataclass(slots=True)
class FileLifetime:
    """A file and the range of serials at which its project has it."""

    file: File
    since: int
    until: int | None = None

    def exists_at(self, serial: int) -> bool:
        return self.since <= serial and (self.until is None or serial < self.until)


@dataclass(slots=True)
class Project:
    states: list[State]  # ascending by serial; never empty
    lifetimes: list[FileLifetime] = field(default_factory=list)
    current: dict[str, FileLifetime] = field(default_factory=dict)  # filename -> if it exists now
    versions: set[str] = field(default_factory=set)

    def copy(self) -> Project:
        """Return a project that changes apart from this one."""
        copies = {id(each): replace(each) for each in self.lifetimes}
        current = {filename: copies[id(each)] for filename, each in self.current.items()}
        return Project([*self.states], [*copies.values()], current, {*self.versions})

    def state_at(self, serial: int | None) -> State | None:
        """Return the state at `serial`; None if the project did not exist."""
        states = reversed(self.states)
        state = next((s for s in states if serial is None or s.serial <= serial), None)
        return state if state is not None and state.exists else None

    def view(self, serial: int | None) -> ProjectView | None:
        """Return what readers see, now or at `serial`; None if the project did not exist."""
        state = self.state_at(serial)
        if state is None:
            return None
        lifetimes = self.current.values() if serial is None else self.lifetimes
        listed = [
            ListedFile(each.file, state.yanked.get(each.file.version, False))
            for each in lifetimes
            if (serial is None or each.exists_at(serial))
            and state.status != "quarantined"
            and each.file.version not in state.quarantined
        ]
        listed.sort(key=lambda each: (_version_key(each.file.version), each.file.filename))
        return ProjectView(state.name, state.serial, state.status, state.reason, tuple(listed))


@lru_cache(maxsize=100_000)
def _version_key(version: str) -> tuple[int, Version, str]:
    """Sort invalid versions before all others, like PyPI."""
    try:
        return (1, Version(version), version)
    except InvalidVersion:
        return (0, Version("0"), version)
