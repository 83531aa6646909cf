"""Runs, the cursor, lagging projects and fingerprints: what the ledger keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frumious.model.jobs import AllowedRemoval, Job

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

    from frumious.model.types import RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What brings the mirror from one serial to another: a part of a plan, as the ledger has it."""

    run: RunId
    created: float  # seconds since the epoch
    since: int | None  # the mirror's serial before; None: the run says nothing of it
    until: int | None  # and after
    jobs: Mapping[NormalizedName, int]  # project -> serial that it must reach
    allowed_removals: Mapping[NormalizedName, AllowedRemoval] = field(
        default_factory=dict
    )  # where upstream told so
    named: frozenset[NormalizedName] = frozenset()  # asked for by name
    recovering: frozenset[NormalizedName] = frozenset()  # an earlier run left things undone
    migrating: bool = False  # another program's mirror is continued

    def job(self, project: NormalizedName) -> Job:
        """Return the run's job for a project."""
        return Job(
            self.run,
            project,
            self.jobs[project],
            allowed_removal=self.allowed_removals.get(project, AllowedRemoval.NOTHING),
            named=project in self.named,
            recovering=project in self.recovering,
            migrating=self.migrating,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A run that is not finished, as the cursor remembers it."""

    run: RunId
    since: int | None
    sent: float | None = None  # when all of its jobs were on the queue; seconds since the epoch
    behind: float = 0.0  # since when the mirror lacks what the run brings; the same
    staged: bool = False  # one of several of a large plan: they are not all sent at once
    retries: frozenset[NormalizedName] = frozenset()  # lagging projects, taken up again
    closing: bool = False  # its results are read: those that come now do not count


@dataclass(frozen=True, slots=True)
class Departure:
    """With which run a project left the mirror, and at which serial; 0: nobody says."""

    run: RunId
    serial: int

    def overrules(self, run: RunId, serial: int | None) -> bool:
        """Say whether what a run knows of the project is of before that."""
        return run < self.run and (serial or 0) <= self.serial


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far the planner has read upstream's changes, and which runs are open.

    Times are seconds since the epoch; 0: never.
    """

    serial: int | None = None  # up to which changes are planned; None: upstream has no changelog
    runs: tuple[OpenRun, ...] = ()  # the oldest first
    revision: int = 0  # that were made; whoever plans from an older cursor was overtaken
    asked: float = 0.0  # when upstream was last asked what changed
    upstream: int | None = None  # upstream's own serial then
    changelog: bool = False  # that is where the serial comes from
    no_change_feed: bool = (
        False  # upstream does not tell what changed: its pages are asked for in turn
    )
    root_etag: str = ""  # ETag of the root index that was last compared
    reconciled: float = 0.0  # when all projects were last compared
    swept: str = ""  # the project that the sweep came to
    swept_at: float = 0.0
    # Projects that left the mirror: an older run that is still open must not list them again.
    gone: Mapping[NormalizedName, Departure] = field(default_factory=dict)

    @property
    def mirror_serial(self) -> int | None:
        """The serial that the mirror as a whole has reached: open runs may still lack jobs."""
        waiting = [run.since for run in self.runs if run.since is not None]
        return min(waiting, default=self.serial) or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lagging:
    """A project that is behind upstream, and when it is tried again."""

    serial: int  # that it has to reach
    reason: str
    attempts: int  # runs that failed in a row
    due: float  # seconds since the epoch
    run: RunId  # the last one that failed, or that may not know what was done
    allowed_removal: AllowedRemoval = AllowedRemoval.NOTHING  # what may be gone: upstream told so
    named: bool = False  # asked for by name
    untold: bool = False  # what its page says was done has to be told by a job that knows

    def allowed_removal_at(self, serial: int) -> AllowedRemoval:
        """Return what may be gone when an event of `serial` is known: the project is back then."""
        return (
            min(self.allowed_removal, AllowedRemoval.FILES)
            if serial > self.serial
            else self.allowed_removal
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """Fingerprints of what decides which projects are here, and what their pages show."""

    projects: str
    pages: str
    releases: Mapping[NormalizedName, str]  # of the projects with rules of their own
    layouts: tuple[str, ...] = ()  # of pages, that there ever were: names of `layout.PageLayout`
