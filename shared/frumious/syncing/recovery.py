"""What earlier attempts at a project may have left behind: found out in one place.

The mirror's own page (or the tombstone of a removed project) says which job published it and what
that job changed. A job that was killed after that has left no report, and perhaps files that it
was to delete: the project's next job does both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import field

from frumious.model import layout
from frumious.model.advisories import NO_ADVISORIES, ProjectAdvisories
from frumious.model.jobs import AllowedRemoval, Job
from frumious.model.losses import NOTHING, Loss
from frumious.state.tombstones import Tombstone
from frumious.syncing.budget import MirrorBudget
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Collection

    from frumious.model.pages import ProjectPage
    from frumious.model.types import Key, RunId
    from frumious.storage.protocol import Storage
    from frumious.upstream.large_pages import PageRoom


class Attempt(Value, frozen=True):
    """One delivery of a job, and what is known before it begins."""

    job: Job
    resuming: bool = False  # earlier ones may have stored files, or published HTML alone
    damaged: bool = False  # the mirror's JSON page is no page: its serial may be unknown
    unreported: bool = False  # the project's last job may never have been reported
    final: bool = False  # what cannot be fetched now is left out, so that the rest gets on
    totals: Loss = NOTHING  # what the mirror has
    budget: MirrorBudget = field(default_factory=MirrorBudget)
    open_runs: frozenset[RunId] = frozenset()  # whose jobs may still have to be reported
    foreign: bool = False  # `master` is another index than the one that the mirror follows
    deleted: bool = False  # somebody deleted the project by name: it leaves at once
    advisories: ProjectAdvisories = NO_ADVISORIES  # that concern the project now
    room: PageRoom | None = None  # for upstream's page, if that is large

    def may_report(self, run: RunId) -> bool:
        """Return whether what a job of an earlier run changed may never have been reported.

        A closed run has reported all of its projects, but for those that lag behind since. Jobs of
        closed runs may come late, and a mirror that counts anew drops its open runs.
        """
        return self.unreported or self.job.rewinding or run in self.open_runs


class Recovery(Value, frozen=True):
    """What the job before this one did, and how much of it is still to do."""

    run: RunId  # this job's
    own: bool = False  # that job was an earlier delivery of this one
    report: bool = False  # it may never have been reported: this one does, perhaps once more
    added: frozenset[Key] = frozenset()
    removed: frozenset[Key] = frozenset()
    scheduled: frozenset[Key] = frozenset()  # what of that is deleted later

    @property
    def leftovers(self) -> Collection[Key]:
        """What another job was to delete, and may not have come to."""
        return () if self.own else self.removed - self.scheduled


async def find_recovery(
    attempt: Attempt, current: ProjectPage | None, storage: Storage
) -> Recovery:
    """Find out what the job before this one did, by its page, its tombstone, or both.

    The tombstone of a project that was created again is read only where it may matter.
    """
    job = attempt.job
    run: RunId | None = None
    added: frozenset[Key] = frozenset()
    removed: frozenset[Key] = frozenset()
    scheduled: frozenset[Key] = frozenset()
    if current is not None and current.publication is not None:
        publication = current.publication
        run, added = publication.run, frozenset(publication.added)
        removed = frozenset(publication.removed)
        scheduled = removed if publication.delayed else scheduled
    unsure = attempt.resuming or job.allowed_removal > AllowedRemoval.NOTHING
    if job.recovering or (current is None and unsure):
        tombstone = await Tombstone.read(layout.tombstone(job.project), storage)
        if tombstone is not None:
            run = tombstone.run if run is None else run
            removed |= {*tombstone.removed}
            scheduled |= {*(tombstone.removed if tombstone.delayed else ())}
    own = run == job.run
    report = run is not None and (own or attempt.may_report(run))
    return Recovery(job.run, own, report, added, removed, scheduled)
