"""What the mirror talks about: project pages, files, jobs, results.

Values only: nothing here reads, writes, parses or renders.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, NewType, Self, TypeAlias, cast

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = "dict[str, Json]"

RunId = NewType("RunId", str)
Key = NewType("Key", str)
"""Where something is stored, relative to the mirror's directory; always with forward slashes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of a release: an sdist or a wheel (PEP 503, 691).

    `url` is absolute where it came from upstream, and relative to the project page where the
    mirror publishes it.
    """

    filename: str
    url: str
    hashes: Mapping[str, str]  # PEP 691: algorithm -> hex digest
    requires_python: str | None = None  # PEP 503
    size: int | None = None  # PEP 700, bytes
    upload_time: str | None = None  # PEP 700, ISO 8601, as upstream wrote it
    yanked: bool | str = False  # PEP 592: a text is the reason
    core_metadata: bool | Mapping[str, str] = False  # PEP 658, 714: hashes of FILE.metadata
    gpg_sig: bool | None = None  # PEP 503
    provenance: str | None = None  # PEP 740, URL
    extra: Mapping[str, Json] = field(default_factory=dict)  # keys we do not know, passed on


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the project's owners or upstream's admins say of it (PEP 792)."""

    status: str = "active"  # active, archived, deprecated, quarantined
    reason: str | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """How the mirror's own project page came to be: the private part of the manifest.

    With it a job that is delivered again, even after a crash between any two steps, reports
    what it changed and deletes what it left, without a request more.
    """

    run: RunId
    selection: str  # fingerprint of the configuration that shaped the page
    etag: str = ""  # of upstream's page, where it sends one: what differs without an event
    added: tuple[Key, ...] = ()
    removed: tuple[Key, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)  # filename -> why it is not here
    stored: bool = True  # False: only the index is mirrored, none of the files is here


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPage:
    """A project page of the Simple API (PEP 503, 691, 700, 792)."""

    name: str
    api_version: str = "1.0"  # PEP 629: what upstream's page claims to be complete for
    files: tuple[File, ...] = ()
    versions: tuple[str, ...] | None = None  # PEP 700; None: upstream does not list them
    serial: int | None = None  # None: upstream keeps no serials
    status: Status | None = None
    publication: Publication | None = None  # only on pages that the mirror wrote
    meta: Mapping[str, Json] = field(default_factory=dict)  # other keys of "meta"
    extra: Mapping[str, Json] = field(default_factory=dict)

    @property
    def quarantined(self) -> bool:
        """Whether upstream asks that nobody gets the project's files (PEP 792)."""
        return self.status is not None and self.status.status == "quarantined"


@dataclass(frozen=True, slots=True)
class Listed:
    """A project as the mirror's own root index lists it."""

    name: str
    serial: int | None
    files: int = 0  # that its page names
    bytes_: int = 0  # that those files have


@dataclass(frozen=True, slots=True)
class Gone:
    """A project that leaves the mirror's root index."""

    serial: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RootIndex:
    """Upstream's list of all projects (PEP 503, 691): of each its serial, where there are any.

    There may be a million of them: nothing is kept that planning does not need.
    """

    projects: Mapping[NormalizedName, int | None]
    serial: int | None = None
    tag: str = ""  # upstream's ETag


class Loss(IntEnum):
    """What of a project upstream told to be gone. Whatever else it lacks is taken for a glitch."""

    NOTHING = 0
    FILES = 1  # also of a project that was removed and made anew
    PROJECT = 2  # nothing newer is told of it


@dataclass(frozen=True, slots=True)
class Job:
    """One project to bring to at least `serial`.

    The unit of the queue, of retries and of failure: whatever happens to a job happens to
    its project alone.
    """

    run: RunId
    project: NormalizedName
    serial: int  # upstream's serial that caused the job; 0: whatever upstream has
    may_lose: Loss = Loss.NOTHING  # what may be gone: upstream told so
    named: bool = False  # whether somebody asked for it, so that filters of projects do not count
    again: bool = False  # whether an earlier run failed over the project, and left things undone
    part: int = 0  # how many jobs before this one ran out of time over the same project
    taking_over: bool = False  # another program may have left a page in HTML alone

    @classmethod
    def from_json(cls, said: JsonObject) -> Self:
        """Read a job as it stands in a queue's message.

        Raises:
            KeyError, TypeError, ValueError: `said` is no job.
        """
        project = canonicalize_name(str(said["project"]), validate=True)
        return cls(
            RunId(str(said["run"])),
            project,
            int(str(said["serial"])),
            may_lose=Loss[str(said.get("may-lose", Loss.NOTHING.name))],
            named=bool(said.get("named", False)),
            again=bool(said.get("again", False)),
            part=int(str(said.get("part", 0))),
            taking_over=bool(said.get("taking-over", False)),
        )

    def to_json(self) -> JsonObject:
        """Shape the job for a queue's message."""
        said: JsonObject = {"run": self.run, "project": self.project, "serial": self.serial}
        if self.may_lose:
            said["may-lose"] = self.may_lose.name
        if self.named:
            said["named"] = True
        if self.again:
            said["again"] = True
        if self.part:
            said["part"] = self.part
        if self.taking_over:
            said["taking-over"] = True
        return said


class Outcome(StrEnum):
    """What a job did to its project."""

    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    QUARANTINED = "quarantined"  # the page stays, to say so; its files are gone
    ABSENT = "absent"  # neither upstream nor the mirror has the project
    FAILED = "failed"
    PUT_OFF = "put off"  # not the end of it: the job will be delivered again

    @property
    def changed(self) -> bool:
        """Whether the job changed what is stored."""
        return self in {Outcome.UPDATED, Outcome.REMOVED, Outcome.QUARANTINED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a job. Says what changed, not how often it was tried.

    The same job therefore leaves the same result, however often it is delivered.
    """

    project: NormalizedName
    outcome: Outcome
    name: str = ""  # as the project page spells it
    serial: int | None = None  # that the mirror's page has now
    listed: bool = False  # whether the root index lists the project now
    files: int = 0  # that the page names now
    bytes_: int = 0  # that those files have
    added: tuple[Key, ...] = ()
    added_bytes: int = 0
    removed: tuple[Key, ...] = ()
    error: str | None = None  # the project lags behind upstream, and why

    def to_json(self) -> JsonObject:
        """Shape the result for the ledger."""
        return {
            "project": self.project,
            "outcome": self.outcome.value,
            "name": self.name,
            "serial": self.serial,
            "listed": self.listed,
            "files": self.files,
            "bytes": self.bytes_,
            "added": list(self.added),
            "added-bytes": self.added_bytes,
            "removed": list(self.removed),
            "error": self.error,
        }

    @classmethod
    def from_json(cls, said: JsonObject) -> Self:
        """Read a result from the ledger."""
        return cls(
            project=canonicalize_name(str(said["project"])),
            outcome=Outcome(str(said["outcome"])),
            name=str(said["name"]),
            serial=cast("int | None", said["serial"]),
            listed=cast("bool", said["listed"]),
            files=cast("int", said["files"]),
            bytes_=cast("int", said["bytes"]),
            added=tuple(cast("list[Key]", said["added"])),
            added_bytes=cast("int", said["added-bytes"]),
            removed=tuple(cast("list[Key]", said["removed"])),
            error=cast("str | None", said["error"]),
        )
