"""The index's state: projects, their files, and the changelog of their events.

Knows which change records which event. Knows neither HTTP nor the format of pages.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from packaging.utils import NormalizedName, canonicalize_name

from .content import Content, GeneratedContent
from .osv import Osv
from .project import File, FileLifetime, Project, ProjectView, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .dist import Dist

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_EPOCH_SECONDS = int(_EPOCH.timestamp())


class Change(NamedTuple):
    """One row of XML-RPC's `changelog_since_serial`."""

    name: str  # not normalised
    version: str | None
    timestamp: int
    action: str
    serial: int


Backup: TypeAlias = """tuple[
    list[tuple[str, str | None, int, str, int]],
    dict[NormalizedName, Project],
    dict[NormalizedName, tuple[str, int]],
]"""


class Index:
    """An index that tests change. Each change increases the serial like PyPI.

    Names of projects need not be normalised. A change of something that does not exist raises
    LookupError. Thread-safe.
    """

    def __init__(self, *, first_serial: int = 30_000_000) -> None:
        self.osv = Osv()
        self._lock = threading.RLock()
        self._first_serial = first_serial
        # Rows of `Change` as plain tuples, which the garbage collector does not track.
        self._changelog: list[tuple[str, str | None, int, str, int]] = []
        self._projects: dict[NormalizedName, Project] = {}
        # Hundreds of thousands of projects that tests list but do not use: a `Project` is created
        # at the first access.
        self._listed_only: dict[NormalizedName, tuple[str, int]] = {}
        self._by_filename: dict[str, list[File]] = {}  # also what was deleted: blobs stay
        self._revision = 0

    # Projects

    def add_project(self, name: str) -> None:
        """Create the project, like the first upload."""
        with self._changing():
            if self._find(name) is not None:
                msg = f"{name!r} exists already"
                raise ValueError(msg)
            project = self._projects.setdefault(canonicalize_name(name), Project([]))
            project.states.append(State(name, self._journal(name, "create")))

    def add_many(self, names: Iterable[str]) -> None:
        """Create many projects without files, cheaply."""
        with self._changing():
            for name in names:
                normalized = canonicalize_name(name)
                if normalized in self._projects or normalized in self._listed_only:
                    self.add_project(name)
                else:
                    self._listed_only[normalized] = (name, self._journal(name, "create"))

    def remove_project(self, name: str) -> None:
        """Delete the project. Its blobs stay."""
        with self._changing():
            project = self._get(name)
            self._change(project, "remove project", exists=False)
            for filename in list(project.current):
                self._drop(project, filename)
            project.versions.clear()

    def rename(self, name: str) -> None:
        """Change the spelling of the project's name, like an upload; there is no event."""
        with self._changing():
            self._amend(self._get(name), name=name)

    def quarantine_project(self, name: str, reason: str | None = None) -> None:
        with self._changing():
            self._change(
                self._get(name), "project quarantined", status="quarantined", reason=reason
            )

    def clear_project_quarantine(self, name: str) -> None:
        """End the project's quarantine."""
        with self._changing():
            self._change(
                self._get(name), "project quarantine cleared", status="active", reason=None
            )

    def archive(self, name: str, reason: str | None = None) -> None:
        """Archive the project. PyPI's changelog has no event for that."""
        with self._changing():
            self._amend(self._get(name), status="archived", reason=reason)

    def unarchive(self, name: str) -> None:
        """Make the project active. PyPI's changelog has no event for that."""
        with self._changing():
            self._amend(self._get(name), status="active", reason=None)

    def deprecate(self, name: str, reason: str | None = None) -> None:
        """Mark the project as deprecated (PEP 792); there is no event."""
        with self._changing():
            self._amend(self._get(name), status="deprecated", reason=reason)

    def journal(self, name: str, action: str, version: str | None = None) -> None:
        """Record an event that changes only the page's serial, like role and owner events."""
        with self._changing():
            self._change(self._get(name), action, version)

    # Releases

    def yank(self, name: str, version: str, reason: str = "") -> None:
        with self._changing():
            project = self._get(name, version)
            yanked = {**project.states[-1].yanked, version: reason or True}
            self._change(project, "yank release", version, yanked=yanked)

    def unyank(self, name: str, version: str) -> None:
        with self._changing():
            project = self._get(name, version)
            yanked = {v: why for v, why in project.states[-1].yanked.items() if v != version}
            self._change(project, "unyank release", version, yanked=yanked)

    def quarantine_release(self, name: str, version: str) -> None:
        with self._changing():
            project = self._get(name, version)
            quarantined = project.states[-1].quarantined | {version}
            self._change(project, "release quarantined", version, quarantined=quarantined)

    def clear_release_quarantine(self, name: str, version: str) -> None:
        """End the release's quarantine."""
        with self._changing():
            project = self._get(name, version)
            quarantined = project.states[-1].quarantined - {version}
            self._change(project, "release quarantine cleared", version, quarantined=quarantined)

    def remove_release(self, name: str, version: str) -> None:
        with self._changing():
            project = self._get(name, version)
            state = project.states[-1]
            yanked = {v: why for v, why in state.yanked.items() if v != version}
            quarantined = state.quarantined - {version}
            self._change(project, "remove release", version, yanked=yanked, quarantined=quarantined)
            for filename, lifetime in list(project.current.items()):
                if lifetime.file.version == version:
                    self._drop(project, filename)
            project.versions.discard(version)

    # Files

    def upload(
        self,
        dist: Dist,
        *,
        provenance: Mapping[str, Any] | None = None,
        yanked: bool | str = False,
        upload_time: datetime | None = None,
    ) -> File:
        """Add a distribution of `wheel` or `sdist` with its metadata."""
        return self.add_file(
            dist.project,
            dist.filename,
            content=dist.content,
            version=dist.version,
            requires_python=dist.requires_python,
            core_metadata=dist.core_metadata,
            provenance=provenance,
            yanked=yanked,
            upload_time=upload_time,
        )

    def add_file(  # noqa: PLR0913 - a file has that many properties
        self,
        name: str,
        filename: str,
        *,
        content: bytes | None = None,
        size: int = 1000,
        version: str | None = None,
        requires_python: str | None = None,
        core_metadata: bytes | None = None,
        provenance: Mapping[str, Any] | None = None,
        yanked: bool | str = False,
        upload_time: datetime | None = None,
    ) -> File:
        """Upload a file, creating its project and release when they are new.

        Args:
            name: The project's name.
            filename: Any name; `version` is required if it is no wheel's or sdist's.
            content: The bytes. By default `size` bytes that depend on the filename and are
                generated while they are read.
            size: In bytes, if there is no content.
            version: By default that of the filename.
            requires_python: A specifier.
            core_metadata: The content of `.metadata`.
            provenance: The response of the integrity API.
            yanked: True or a reason; yanks the whole release afterwards, like PyPI.
            upload_time: By default one second after the last change.
        """
        version = _version_of(filename) if version is None else version
        with self._changing():
            if self._find(name) is None:
                self.add_project(name)
            project = self._get(name)
            if filename in project.current:
                msg = f"{filename!r} exists already"
                raise ValueError(msg)
            if version not in project.versions:
                self._change(project, "new release", version)
                project.versions.add(version)
            self._change(project, f"add {_python_version(filename)} file {filename}", version)
            file = File(
                canonicalize_name(name),
                version,
                filename,
                GeneratedContent(f"{canonicalize_name(name)}/{filename}", size)
                if content is None
                else Content(content),
                upload_time or self._now(),
                requires_python,
                None if core_metadata is None else Content(core_metadata),
                provenance,
            )
            self._add(project, file)
            if yanked:
                self.yank(name, version, "" if yanked is True else yanked)
            return file

    def remove_file(self, name: str, filename: str) -> None:
        """Delete one file; its release stays, even empty. The blob stays."""
        with self._changing():
            project = self._get(name)
            version = project.current[filename].file.version
            self._change(project, f"remove file {filename}", version)
            self._drop(project, filename)

    def backfill_metadata(self, name: str, filename: str, core_metadata: bytes) -> None:
        """Add a file's `.metadata` after its upload; there is no event."""
        with self._changing():
            project = self._get(name)
            lifetime = project.current[filename]
            lifetime.file = replace(lifetime.file, core_metadata=Content(core_metadata))
            self._by_filename[filename].append(lifetime.file)

    # Backups

    def backup(self) -> Backup:
        """Return a copy of what the index knows; it has no blobs."""
        with self._lock:
            return _copied((self._changelog, self._projects, self._listed_only))

    def restore(self, backup: Backup) -> None:
        """Go back to a backup: what came after it never happened. Blobs stay."""
        with self._changing():
            self._changelog, self._projects, self._listed_only = _copied(backup)

    # What readers see

    @property
    def serial(self) -> int:
        """The serial of the last change."""
        with self._lock:
            return self._first_serial + len(self._changelog)

    @property
    def revision(self) -> int:
        """A number that increases with every change, also with those without an event."""
        with self._lock:
            return self._revision

    def changes_since(self, serial: int, limit: int | None = None) -> list[Change]:
        """Return the changelog's rows after `serial`, ascending."""
        with self._lock:
            start = max(serial - self._first_serial, 0)  # serials have no gaps here
            rows = self._changelog[start : None if limit is None else start + limit]
            return [Change(*row) for row in rows]

    def project(self, name: str, at: int | None = None) -> ProjectView | None:
        """Return the project now, or at the serial `at`."""
        with self._lock:
            project = self._known(name)
            return None if project is None else project.view(at)

    def state(self, name: str) -> State | None:
        """Return what the project is now, without its files; None: there is none."""
        with self._lock:
            project = self._known(name)
            return None if project is None else project.state_at(None)

    def projects(
        self, at: int | None = None, *, quarantined: bool = False
    ) -> list[tuple[NormalizedName, str, int]]:
        """Return (normalised name, name, serial) of each project, by normalised name."""
        with self._lock:
            found = [
                (normalized, name, serial)
                for normalized, (name, serial) in self._listed_only.items()
                if at is None or serial <= at
            ]
            for normalized, project in self._projects.items():
                state = project.state_at(at)
                if state is not None and (quarantined or state.status != "quarantined"):
                    found.append((normalized, state.name, state.serial))
        return sorted(found)

    def files_named(self, filename: str) -> list[File]:
        """Return every file that ever had this name, latest first."""
        with self._lock:
            return self._by_filename.get(filename, [])[::-1]

    # How changes are made

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            yield
            self._revision += 1

    def _known(self, name: str) -> Project | None:
        """Return the project, even if it was removed."""
        normalized = canonicalize_name(name)
        if normalized in self._listed_only:
            self._projects[normalized] = Project([State(*self._listed_only.pop(normalized))])
        return self._projects.get(normalized)

    def _find(self, name: str) -> Project | None:
        """Return the project if it exists."""
        project = self._known(name)
        return project if project is not None and project.states[-1].exists else None

    def _get(self, name: str, version: str | None = None) -> Project:
        project = self._find(name)
        if project is None:
            msg = f"no project {name!r}"
            raise LookupError(msg)
        if version is not None and version not in project.versions:
            msg = f"{name!r} has no release {version!r}"
            raise LookupError(msg)
        return project

    def _journal(self, name: str, action: str, version: str | None = None) -> int:
        serial = self._first_serial + len(self._changelog) + 1
        self._changelog.append(
            (name, version, _EPOCH_SECONDS + len(self._changelog), action, serial)
        )
        return serial

    def _change(
        self, project: Project, action: str, version: str | None = None, **state: Any
    ) -> None:
        """Record an event, and a new state of the project at its serial."""
        last = project.states[-1]
        serial = self._journal(last.name, action, version)
        project.states.append(replace(last, serial=serial, **state))

    def _amend(self, project: Project, **state: Any) -> None:
        """Change the project's state without an event, thus without a new serial."""
        project.states[-1] = replace(project.states[-1], **state)

    def _add(self, project: Project, file: File) -> None:
        lifetime = FileLifetime(file, since=self.serial)
        project.lifetimes.append(lifetime)
        project.current[file.filename] = lifetime
        self._by_filename.setdefault(file.filename, []).append(file)

    def _drop(self, project: Project, filename: str) -> None:
        project.current.pop(filename).until = self.serial

    def _now(self) -> datetime:
        """One second for each change, so that the same changes give the same pages."""
        return _EPOCH + timedelta(seconds=len(self._changelog))


def _copied(backup: Backup) -> Backup:
    changelog, projects, listed_only = backup
    copies = {name: project.copy() for name, project in projects.items()}
    return [*changelog], copies, {**listed_only}


def _version_of(filename: str) -> str:
    """Read the version out of a wheel's or an sdist's filename."""
    for extension in (".tar.gz", ".zip", ".whl"):
        stem = filename.removesuffix(extension)
        if stem != filename and "-" in stem:
            return stem.split("-")[1] if extension == ".whl" else stem.rpartition("-")[2]
    msg = f"say which version {filename!r} belongs to: version=..."
    raise ValueError(msg)


def _python_version(filename: str) -> str:
    """Return what PyPI's events call a file's Python version: a wheel's tag or `source`."""
    return filename.split("-")[-3] if filename.count("-") >= 4 else "source"
