"""Jobs, and the results that they leave."""

from __future__ import annotations

from collections import Counter
from enum import Enum, StrEnum
from functools import total_ordering
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct
from packaging.utils import canonicalize_name

from frumious.model import layout
from frumious.model.advisories import AdvisoryId
from frumious.model.attestations import Text
from frumious.model.closure import Dependencies
from frumious.model.types import (
    MAX_NAME_LENGTH,
    Count,
    Hour,
    IsoTime,
    ProjectName,
    PublicKey,
    RunName,
    Seconds,
    Serial,
    Sha256,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


@total_ordering
class AllowedRemoval(Enum):
    """How much of a project may disappear, by upstream's own events.

    Upstream is taken to be faulty where a page lacks more than that.
    """

    NOTHING = "NOTHING"
    FILES = "FILES"  # also of a project that was removed and created again
    PROJECT = "PROJECT"  # no newer event exists

    def __lt__(self, other: AllowedRemoval) -> bool:
        order = list(AllowedRemoval)
        return order.index(self) < order.index(other)


_JOB_KEYS: Final = {
    "allowed_removal": "may-lose",
    "recovering": "again",
    "continuation": "part",
    "migrating": "taking-over",
}


class Job(Struct, frozen=True, omit_defaults=True, rename=_JOB_KEYS):
    """One project to bring to at least `serial`.

    The unit of the queue, of retries and of failure: whatever happens to a job happens to
    its project alone. As JSON it is a message that workers of earlier versions read as well.
    """

    run: RunName
    project: ProjectName
    serial: Serial  # upstream's serial that caused the job; 0: whatever upstream has
    allowed_removal: AllowedRemoval = AllowedRemoval.NOTHING
    named: bool = False  # requested by name: project filters do not apply
    recovering: bool = False  # earlier jobs of the project may have left work behind
    continuation: Count = 0  # how many jobs of the run ran out of time over the project
    migrating: bool = False  # another program may have left a page as HTML alone
    confirmed: bool = False  # an operator has confirmed what the project loses
    quarantined: bool = False  # it or a release is: what the page stops naming is deleted at once
    due: tuple[Hour, ...] = ()  # hours (`layout.hour`) at which removed files are due for deletion
    rewinding: bool = False  # upstream's page may be older than the mirror's, by its serial
    # Upstream's root index of this serial does not list the project: only a quarantine is older.
    delisted: bool = False
    digest: Sha256 = ""  # of upstream's JSON page, by upstream's change feed


class Outcome(StrEnum):
    """What a job did to its project."""

    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    QUARANTINED = "quarantined"  # the page stays and says so; the files are deleted
    ABSENT = "absent"  # neither upstream nor the mirror has the project
    EXCLUDED = "excluded"  # filters exclude the project by its page; the mirror has nothing of it
    FAILED = "failed"
    RETRY_LATER = "put off"  # not final: the queue delivers the job again

    @property
    def changed(self) -> bool:
        """Whether the job changed what is stored."""
        return self in {Outcome.UPDATED, Outcome.REMOVED, Outcome.QUARANTINED}

    @property
    def done(self) -> bool:
        """Whether the job brought its project in step with upstream, as far as it could."""
        return self is not Outcome.FAILED and self is not Outcome.RETRY_LATER


_RESULT_KEYS: Final = {"bytes_": "bytes", "added_bytes": "added-bytes", "held_back": "held-back"}


class Result(Struct, frozen=True, kw_only=True, rename=_RESULT_KEYS):
    """What a job achieved: what changed, not how often it was tried.

    The same job therefore leaves the same result, however often it is delivered.
    """

    project: ProjectName
    outcome: Outcome
    name: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] = ""  # as the project page spells it
    serial: Serial | None = None  # of the mirror's page now
    listed: bool = False  # whether the root index lists the project now
    files: Count = 0  # that the page names now
    bytes_: Count = 0  # of those files
    added: tuple[PublicKey, ...] = ()
    added_bytes: Count = 0
    removed: tuple[PublicKey, ...] = ()
    error: str | None = None  # why the project lags behind upstream
    excluded_by: str = ""  # the fingerprint of the filters that exclude it by its page
    held_back: Count = 0  # upstream's files that wait until the cooldown is over
    ripens: Seconds = 0.0  # when it is for the first of them
    unverified: Count = 0  # files with a fault of their attestations
    fault: Text = ""  # the first of these
    # The advisories because of which files left the page.
    blocked_by: Annotated[tuple[AdvisoryId, ...], Meta(max_length=100)] = ()
    # For the change feed alone: the digests of the JSON page and of what was added and removed, as
    # far as they are known, and when upstream got the newest of the added files.
    page: Sha256 = ""
    sha256: tuple[tuple[PublicKey, Sha256], ...] = ()
    uploaded: IsoTime = ""
    dependencies: Dependencies | None = None  # of the project; None: as they are known

    @property
    def files_added(self) -> int:
        """How many files of releases the job stored."""
        return layout.count_files(self.added)

    @property
    def files_removed(self) -> int:
        """How many files of releases the page stopped naming."""
        return layout.count_files(self.removed)


class Report(Struct, frozen=True):
    """A job and what came of it: what a worker leaves in the inbox."""

    job: Job
    result: Result

    def __post_init__(self) -> None:
        names = {self.result.project, canonicalize_name(self.result.name or self.result.project)}
        if names != {self.job.project}:
            msg = f"a result of {sorted(names)!r:.300} is not one of {self.job.project!r:.100}"
            raise ValueError(msg)


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
        "files_stored": sum(result.files_added for result in final),
        "bytes_stored": sum(result.added_bytes for result in final),
    }
