"""Runs, the cursor, lagging projects and fingerprints: what the ledger keeps."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Self

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from frumious.model.advisories import Feed
from frumious.model.changes import Position
from frumious.model.closure import ClosureMark
from frumious.model.cooldown import Ripening
from frumious.model.jobs import AllowedRemoval, Job
from frumious.model.types import Count, Hour, ProjectName, RunId, RunName, Seconds, Serial, Sha256

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

_RUN_KEYS: Final = {
    "allowed_removals": "losing",
    "recovering": "again",
    "migrating": "taking-over",
}
_CURSOR_KEYS: Final = {
    "revision": "plans",
    "no_change_feed": "blind",
    "root_etag": "root-tag",
    "swept_at": "swept-at",
    "departures": "gone",
    "bytes_": "bytes",
}
CLOCK_SKEW: Final = 900  # seconds by which the clocks of the mirror's machines may differ
REGRESSION_PATIENCE: Final = 3600  # seconds that upstream's replicas and caches may lag behind
MAX_PAUSE: Final = 6 * 3600  # seconds between two retries of a lagging project


@lru_cache(8)  # the reports of a tick are sorted by one time
def run_id(seconds: float) -> RunId:
    """Return the beginning of the ids of runs that open at this time."""
    return RunId(time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds)))


def run_order(run: RunId, now: float) -> tuple[bool, RunId]:
    """Return the sort key of runs in the order of time.

    A run from the future was planned while the clock was wrong, and is older than all others: else
    everything later would count as outdated for years.
    """
    return run <= run_id(now + CLOCK_SKEW), run


class Run(Struct, frozen=True, kw_only=True, rename=_RUN_KEYS):
    """What brings the mirror from one serial to another: part of a plan, as the ledger keeps it."""

    run: RunName
    created: Seconds = 0.0
    since: Serial | None = None  # the mirror's serial before; None: the run does not move it
    until: Serial | None = None  # and after
    jobs: Mapping[ProjectName, Serial]  # project -> serial that it must reach
    allowed_removals: Mapping[ProjectName, AllowedRemoval] = {}
    named: frozenset[ProjectName] = frozenset()  # requested by name
    recovering: frozenset[ProjectName] = frozenset()  # earlier runs may have left work behind
    migrating: bool = False  # another program's mirror is continued
    confirmed: frozenset[ProjectName] = frozenset()  # as in Job
    quarantined: frozenset[ProjectName] = frozenset()  # as in Job
    due: Mapping[ProjectName, tuple[Hour, ...]] = {}  # as in Job
    rewinding: frozenset[ProjectName] = frozenset()  # the mirror's serials of these are void
    delisted: frozenset[ProjectName] = frozenset()  # as in Job
    digests: Mapping[ProjectName, Sha256] = {}  # as in Job

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
            confirmed=project in self.confirmed,
            quarantined=project in self.quarantined,
            due=self.due.get(project, ()),
            rewinding=project in self.rewinding,
            delisted=project in self.delisted,
            digest=self.digests.get(project, ""),
        )


class OpenRun(Struct, frozen=True, kw_only=True, rename="kebab"):
    """A run that is not finished, as the cursor remembers it."""

    run: RunName
    since: Serial | None = None
    sent: Seconds | None = None  # when all of its jobs were on the queue
    behind: Seconds = 0.0  # since when the mirror lacks what the run brings
    staged: bool = False  # one of several runs of a large plan, which are not sent all at once
    retries: frozenset[ProjectName] = frozenset()  # lagging projects that it retries
    jobs: Count = 0  # 0: unknown
    # Version 0 kept results below the run's own prefix, and may still add some.
    own_results: bool = False

    @property
    def counts(self) -> bool:
        """Whether its jobs have serials to reach; those of named projects have none."""
        return self.since is not None or bool(self.retries)


class RunProgress(Struct, frozen=True, kw_only=True):
    """How far an open run is.

    A project leaves `pending` in the same write that counts its result: reading a result twice
    counts it once.
    """

    pending: Mapping[ProjectName, str]  # project -> why its job is retried later; "": unknown
    projects: Count = 0
    errors: Count = 0
    files_added: Count = 0
    bytes_added: Count = 0
    files_removed: Count = 0

    @classmethod
    def of(cls, run: Run) -> Self:
        """Return the progress of a run that has no results yet."""
        return cls(pending=dict.fromkeys(run.jobs, ""))


class Departure(Struct, frozen=True, array_like=True):
    """The run with which a project left the mirror, and at which serial; 0: unknown."""

    run: RunName
    serial: Serial

    def overrules(self, run: RunId, serial: int | None, now: float) -> bool:
        """Return whether what a run found out about the project is older than that."""
        return run_order(run, now) < run_order(self.run, now) and (serial or 0) <= self.serial


class Cursor(Struct, frozen=True, kw_only=True, rename=_CURSOR_KEYS):
    """How far the planner has read upstream's changes, and which runs are open."""

    serial: Serial | None = None  # up to which changes are planned; None: upstream has no changelog
    runs: tuple[OpenRun, ...] = ()  # the oldest first
    revision: Count = 0  # counts plans: a planner that started from an older one was overtaken
    asked: Seconds = 0.0  # when upstream was last asked what changed
    upstream: Serial | None = None  # upstream's own serial then
    changelog: bool = False  # whether the serial comes from the changelog
    no_change_feed: bool = False  # upstream does not report changes: its pages are polled in turn
    root_etag: str = ""  # of upstream's root index that was last compared
    reconciled: Seconds = 0.0  # when all projects were last compared
    swept: str = ""  # the project that the sweep reached
    swept_at: Seconds = 0.0
    deletions: Seconds = 0.0  # when the planner last looked for files that are due for deletion
    master: str = ""  # whose serials these are: a fingerprint of `master`
    regressed: Seconds = 0.0  # since when they are not upstream's any more
    resets: int = 0  # how often an operator let the mirror count anew
    named: bool = False  # somebody has requested or deleted projects by name
    selected: str = ""  # Selected.fingerprint, if the stored Selected is known to cover it
    selecting: str = ""  # Selected.fingerprint of the last one by which runs were opened
    lists: str = ""  # Lists.fingerprint of those by which runs were last opened
    notices: Count = 0  # Notices.revision of what waits for a person; 0: nothing ever did
    advisories: Feed = Feed()
    feed: Position = Position()  # up to which upstream's change feed is planned
    # What the finalizer keeps here.
    # Projects that left the mirror of late: an older result must not list them again.
    departures: Mapping[ProjectName, Departure] = {}
    # Versions that do not know the key drop it: then projects may lag.
    lagging: bool = True  # False: no project lags
    failures: Count = 0  # grows before projects may begin to lag
    tidied: Seconds = 0.0  # the hour in which the finalizer last did what it does once in each
    projects: Count | None = None  # that the mirror's root index lists; None: unknown
    files: Count = 0  # of these projects; 0: perhaps unknown
    bytes_: Count = 0  # of these files
    shards: Count = 0  # into which the root index is divided as well
    unverified: Count = 0  # projects with faults of their attestations
    ripening: Ripening = Ripening()  # which the planner changes as well
    closure: ClosureMark = ClosureMark()  # which the planner changes as well

    @property
    def mirror_serial(self) -> int | None:
        """The serial that the mirror as a whole has reached: open runs may still lack jobs."""
        if self.serial is None:
            return None
        waiting = [run.since for run in self.runs if run.since is not None]
        return min([self.serial, *waiting]) or None  # a lost run takes the cursor back

    def is_foreign(self, master: str) -> bool:
        """Return whether `master`, by its fingerprint, is another index than the one followed."""
        return self.master not in {"", master}

    def is_regressed(self, now: float) -> bool:
        """Return whether upstream's serials are lower than before for longer than caches lag."""
        return bool(self.regressed) and now - self.regressed >= REGRESSION_PATIENCE

    def rewound(self) -> Cursor:
        """Return the cursor that counts anew, as before the first run."""
        return replace(
            self,
            runs=tuple(run for run in self.runs if not run.counts),
            serial=None,
            upstream=None,
            changelog=False,
            no_change_feed=False,
            root_etag="",
            reconciled=0.0,
            regressed=0.0,
            feed=Position(),
            resets=self.resets + 1,
            ripening=self.ripening.forgetting_plans(),
        )

    def at(self, now: float) -> Cursor:
        """Return the cursor without times in the future, which a wrong clock left.

        They count as never; the age of an open run counts from now.
        """
        latest = now + CLOCK_SKEW
        return replace(
            self,
            asked=self.asked if self.asked <= latest else 0.0,
            reconciled=self.reconciled if self.reconciled <= latest else 0.0,
            swept_at=self.swept_at if self.swept_at <= latest else 0.0,
            deletions=self.deletions if self.deletions <= latest else 0.0,
            tidied=self.tidied if self.tidied <= latest else 0.0,
            regressed=min(self.regressed, now),
            feed=replace(self.feed, regressed=min(self.feed.regressed, now)),
            advisories=self.advisories.at(now, latest),
            ripening=self.ripening.at(latest),
            runs=tuple(
                replace(run, sent=now) if (run.sent or 0.0) > latest else run for run in self.runs
            ),
        )

    def without_lost_run(self, run: RunId) -> Cursor:
        """Return the cursor without a run whose plan is gone: what it would have brought is due."""
        runs = tuple(entry for entry in self.runs if entry.run != run)
        if runs == self.runs:
            return self
        since = [entry.since for entry in self.runs if entry.run == run and entry.since is not None]
        return replace(
            self,
            runs=runs,
            revision=self.revision + 1,  # a planner that read the cursor before is overtaken
            serial=None if self.serial is None else min((self.serial, *since)) or None,
            root_etag="",
            reconciled=0.0,
            ripening=self.ripening.forgetting_plans(),
        )


class Lagging(Struct, frozen=True, kw_only=True, rename={"allowed_removal": "may-lose"}):
    """A project that lags behind upstream, and when it is retried."""

    serial: Serial  # that it has to reach
    reason: str = ""
    attempts: Count = 1  # runs that failed in a row
    due: Seconds = 0.0
    run: RunName = RunId("")  # the last one that failed
    allowed_removal: AllowedRemoval = AllowedRemoval.NOTHING
    named: bool = False  # requested by name
    quarantined: bool = False  # as in Job
    rewinding: bool = False  # the mirror's own serial of the project is void
    delisted: bool = False  # as in Job
    digest: Sha256 = ""  # as in Job

    def is_due(self, now: float) -> bool:
        """Return whether the pause is over; a wrong clock may have made it years long."""
        return not now < self.due <= now + 2 * MAX_PAUSE

    def allowed_removal_at(self, serial: int) -> AllowedRemoval:
        """Return what may disappear given an event of `serial`: a later one brings it back."""
        if serial > self.serial:
            return min(self.allowed_removal, AllowedRemoval.FILES)
        return self.allowed_removal


class Selected(Struct, frozen=True, kw_only=True):
    """Fingerprints of what decides which projects are mirrored, and what their pages show."""

    projects: str
    pages: str
    releases: Mapping[ProjectName, str] = {}  # of the projects with rules of their own
    # Every `PageLayout` that the mirror has had, by name.
    layouts: tuple[str, ...] = ("html json",)

    @property
    def fingerprint(self) -> str:
        """Identify all of it."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()
