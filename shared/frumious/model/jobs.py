"""Jobs, and the results that they leave."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Self, cast

from packaging.utils import canonicalize_name

from frumious.model.types import JsonObject, Key, RunId

if TYPE_CHECKING:
    from packaging.utils import NormalizedName


class AllowedRemoval(IntEnum):
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
    allowed_removal: AllowedRemoval = AllowedRemoval.NOTHING  # what may be gone: upstream told so
    named: bool = False  # whether somebody asked for it, so that filters of projects do not count
    recovering: bool = (
        False  # whether an earlier run failed over the project, and left things undone
    )
    continuation: int = 0  # how many jobs before this one ran out of time over the same project
    migrating: bool = False  # another program may have left a page in HTML alone

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
            allowed_removal=AllowedRemoval[str(said.get("may-lose", AllowedRemoval.NOTHING.name))],
            named=bool(said.get("named", False)),
            recovering=bool(said.get("again", False)),
            continuation=int(str(said.get("part", 0))),
            migrating=bool(said.get("taking-over", False)),
        )

    def to_json(self) -> JsonObject:
        """Shape the job for a queue's message."""
        said: JsonObject = {"run": self.run, "project": self.project, "serial": self.serial}
        if self.allowed_removal:
            said["may-lose"] = self.allowed_removal.name
        if self.named:
            said["named"] = True
        if self.recovering:
            said["again"] = True
        if self.continuation:
            said["part"] = self.continuation
        if self.migrating:
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
    RETRY_LATER = "put off"  # not the end of it: the job will be delivered again

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
