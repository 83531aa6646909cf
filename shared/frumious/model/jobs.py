"""Jobs, and the results that they leave."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Self, cast

from packaging.utils import canonicalize_name

from frumious.model.types import JsonObject, Key, RunId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName


class AllowedRemoval(IntEnum):
    """How much of a project may disappear, by upstream's own events.

    Upstream is taken to be faulty where a page lacks more than that.
    """

    NOTHING = 0
    FILES = 1  # also of a project that was removed and created again
    PROJECT = 2  # no newer event exists


@dataclass(frozen=True, slots=True)
class Job:
    """One project to bring to at least `serial`.

    The unit of the queue, of retries and of failure: whatever happens to a job happens to
    its project alone.
    """

    run: RunId
    project: NormalizedName
    serial: int  # upstream's serial that caused the job; 0: whatever upstream has
    allowed_removal: AllowedRemoval = AllowedRemoval.NOTHING
    named: bool = False  # requested by name: project filters do not apply
    recovering: bool = False  # earlier jobs of the project may have left work behind
    continuation: int = 0  # how many jobs of the run ran out of time over the project
    migrating: bool = False  # another program may have left a page as HTML alone

    @classmethod
    def from_json(cls, payload: JsonObject) -> Self:
        """Parse a queue message, whichever version sent it.

        Raises:
            KeyError, TypeError, ValueError: `payload` is not a job.
        """
        return cls(
            RunId(str(payload["run"])),
            canonicalize_name(str(payload["project"]), validate=True),
            int(str(payload["serial"])),
            allowed_removal=AllowedRemoval[str(payload.get("may-lose", "NOTHING"))],
            named=bool(payload.get("named", False)),
            recovering=bool(payload.get("again", False)),
            continuation=int(str(payload.get("part", 0))),
            migrating=bool(payload.get("taking-over", False)),
        )

    def to_json(self) -> JsonObject:
        """Render the job as a queue message, which workers of earlier versions read as well."""
        payload: JsonObject = {"run": self.run, "project": self.project, "serial": self.serial}
        if self.allowed_removal:
            payload["may-lose"] = self.allowed_removal.name
        if self.named:
            payload["named"] = True
        if self.recovering:
            payload["again"] = True
        if self.continuation:
            payload["part"] = self.continuation
        if self.migrating:
            payload["taking-over"] = True
        return payload


class Outcome(StrEnum):
    """What a job did to its project."""

    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    QUARANTINED = "quarantined"  # the page stays and says so; the files are deleted
    ABSENT = "absent"  # neither upstream nor the mirror has the project
    FAILED = "failed"
    RETRY_LATER = "put off"  # not final: the queue delivers the job again

    @property
    def changed(self) -> bool:
        """Whether the job changed what is stored."""
        return self in {Outcome.UPDATED, Outcome.REMOVED, Outcome.QUARANTINED}

    @property
    def done(self) -> bool:
        """Whether the job brought its project in step with upstream, as far as it could."""
        return self not in {Outcome.FAILED, Outcome.RETRY_LATER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a job achieved: what changed, not how often it was tried.

    The same job therefore leaves the same result, however often it is delivered.
    """

    project: NormalizedName
    outcome: Outcome
    name: str = ""  # as the project page spells it
    serial: int | None = None  # of the mirror's page now
    listed: bool = False  # whether the root index lists the project now
    files: int = 0  # that the page names now
    bytes_: int = 0  # of those files
    added: tuple[Key, ...] = ()
    added_bytes: int = 0
    removed: tuple[Key, ...] = ()
    error: str | None = None  # why the project lags behind upstream

    def to_json(self) -> JsonObject:
        """Render the result for the inbox."""
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
    def from_json(cls, payload: JsonObject) -> Self:
        """Parse a result from the inbox.

        Raises:
            KeyError, TypeError, ValueError: `payload` is not a result.
        """
        return cls(
            project=canonicalize_name(str(payload["project"]), validate=True),
            outcome=Outcome(str(payload["outcome"])),
            name=str(payload.get("name", "")),
            serial=cast("int | None", payload.get("serial")),
            listed=bool(payload.get("listed", False)),
            files=int(cast("int", payload.get("files", 0))),
            bytes_=int(cast("int", payload.get("bytes", 0))),
            added=tuple(cast("list[Key]", payload.get("added", ()))),
            added_bytes=int(cast("int", payload.get("added-bytes", 0))),
            removed=tuple(cast("list[Key]", payload.get("removed", ()))),
            error=cast("str | None", payload.get("error")),
        )


@dataclass(frozen=True, slots=True)
class Report:
    """A job and what came of it: what a worker leaves in the inbox."""

    job: Job
    result: Result


def failure(job: Job, reason: str) -> Result:
    """Return the result of a job that failed."""
    return Result(project=job.project, outcome=Outcome.FAILED, serial=job.serial, error=reason)


def job_counts(results: Iterable[Result]) -> dict[str, int]:
    """Count what jobs did, by the names of the log fields; jobs that are retried do not count."""
    final = [result for result in results if result.outcome is not Outcome.RETRY_LATER]
    outcomes = Counter(Outcome.FAILED if result.error else result.outcome for result in final)
    return {
        "projects_updated": outcomes[Outcome.UPDATED],
        "projects_unchanged": outcomes[Outcome.UNCHANGED],
        "projects_removed": outcomes[Outcome.REMOVED] + outcomes[Outcome.QUARANTINED],
        "projects_failed": outcomes[Outcome.FAILED],
        "files_stored": sum(len(result.added) for result in final),
        "bytes_stored": sum(result.added_bytes for result in final),
    }
