"""What a tick of the planner decides: which projects, up to which serial, and why."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from msgspec import field

from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

    from frumious.model.advisories import Feed
    from frumious.model.closure import Needed
    from frumious.model.jobs import AllowedRemoval
    from frumious.model.private import PrivateListing
    from frumious.model.runs import Cursor, Selected
    from frumious.model.types import RunId


class Reason(StrEnum):
    """Why a project is part of a plan."""

    NAMED = "asked for by name"
    NEW = "not here yet"
    NEEDED = "not here yet, and other projects need it"
    CHANGED = "changed upstream"
    DIFFERS = "differs from upstream, though no event says so"
    REWOUND = "has a serial that upstream does not reach"
    RESELECTED = "its files are selected or shown in another way"
    FORCED = "everything is checked"
    LAGGING = "lagging, and due for a retry"
    REMOVED = "removed upstream"
    UNANNOUNCED = "gone from upstream, though no event says so"
    UNWANTED = "no longer selected"
    PRIVATE = "its files in the private directory have changed"
    PRIVATE_GONE = "the private directory has no file of it any more"
    RELEASED = "its name is not private any more"
    MADE_PRIVATE = "its name is private now, and it came from upstream"
    DELETED = "deleted by name"
    DAMAGED = "damaged here"
    RIPE = "its files have waited as long as the cooldown"
    BLOCKED = "an advisory blocks it"
    ADVISORIES = "advisories block other files of it than before"
    DUE = "its removed files are due for deletion"

    @property
    def removes(self) -> bool:
        """Whether the project is to leave the mirror."""
        return self in {
            Reason.REMOVED,
            Reason.UNANNOUNCED,
            Reason.UNWANTED,
            Reason.MADE_PRIVATE,
            Reason.PRIVATE_GONE,
            Reason.DELETED,
            Reason.BLOCKED,
        }


class Proposal(NamedTuple):
    """A project to plan; a plan merges all proposals for the same project."""

    project: NormalizedName
    serial: int  # to reach; 0: whatever upstream has
    reason: Reason
    delisted: bool = False  # as in Job


class RemovalLimit(Value, frozen=True):
    """The verdict that removals wait until an operator confirms them."""

    removals: int  # that wait
    projects: int  # that the mirror has
    allowed: int  # removals of this kind, by `max-removals`
    unwanted: int = 0  # removals that wait because of the configuration
    private: int = 0  # removals that wait of private projects
    rest_starts: bool = False  # only the removals wait; else nothing starts
    outage: bool = False  # upstream's root index lists no project

    @property
    def message(self) -> str:
        """Explain what waits, and why."""
        removals = "1 removal" if self.removals == 1 else f"{self.removals} removals"
        if not self.rest_starts:
            return (
                f"the run would remove {self.removals} of the mirror's {self.projects} projects,"
                f" and max-removals allows {self.allowed}: nothing starts until somebody confirms"
                f" {removals}"
            )
        causes = []
        if self.unwanted:
            causes.append(f"the configuration no longer selects {self.unwanted}")
        if self.private:
            causes.append(
                f"{self.private} have private names and no file in the private directory, and"
                " upstream is not asked for them"
            )
        unannounced = self.removals - self.unwanted - self.private
        if unannounced and self.outage:
            causes.append(f"upstream lacks {unannounced}, as in an outage: its root index is empty")
        elif unannounced:
            causes.append(
                f"upstream no longer has {unannounced}, without an event that says so"
                f" (max-removals allows {self.allowed})"
            )
        return (
            f"of the mirror's {self.projects} projects, {' and '.join(causes)}: these stay until"
            f" somebody confirms {removals}"
        )


class Plan(Value, frozen=True, kw_only=True):
    """What a tick would do, and why: a value to show before anything happens.

    Its runs open in the same write that moves the cursor from `base` to `cursor`.
    """

    jobs: Mapping[NormalizedName, int] = field(default_factory=dict)  # -> serial to reach
    reasons: Mapping[NormalizedName, Reason] = field(default_factory=dict)
    # Where an event upstream, or a person, allows it.
    allowed_removals: Mapping[NormalizedName, AllowedRemoval] = field(default_factory=dict)
    retries: frozenset[NormalizedName] = frozenset()  # lagging projects that are due
    named: frozenset[NormalizedName] = frozenset()  # jobs that ignore the filters of projects
    recovering: frozenset[NormalizedName] = frozenset()  # an earlier run may have left work undone
    migrating: bool = False  # the mirror was begun by another program
    confirmed: frozenset[NormalizedName] = frozenset()  # as in Job
    quarantined: frozenset[NormalizedName] = frozenset()  # as in Job
    due: Mapping[NormalizedName, tuple[str, ...]] = field(default_factory=dict)  # as in Job
    rewinding: frozenset[NormalizedName] = frozenset()  # the mirror's serials of these are void
    delisted: frozenset[NormalizedName] = frozenset()  # as in Job
    digests: Mapping[NormalizedName, str] = field(default_factory=dict)  # as in Job
    reset: bool = False  # the mirror counts anew: what older runs count is void
    regressed: str = ""  # why upstream's serials cannot be compared with the mirror's
    outdated_since: float = 0.0  # when the mirror began to lack the changes; seconds, epoch
    base: Cursor | None = None  # that it was planned from; None: named projects, from any
    cursor: Cursor | None = None  # that it leads to, apart from the runs
    settles_named: bool = False  # what is stored of named projects changes when the runs are open
    selected: Selected | None = None  # to store when the runs are open; None: as it is stored
    stopped: RemovalLimit | None = None  # None: no removal waits for a confirmation
    withheld: Mapping[NormalizedName, Reason] = field(default_factory=dict)  # removals that wait
    unconfirmed: int = 0  # projects of a new mirror that nobody lists: nothing starts
    doubtful: tuple[NormalizedName, ...] = ()  # their pages are missing, which proves nothing
    private: PrivateListing | None = None  # to keep when the runs are open; None: as it is kept
    problems: tuple[str, ...] = ()  # of the private directory
    advisories: Feed | None = None  # what the cursor is to keep of these; None: as it is
    known_digest: str = ""  # of the advisories that these replace
    known_runs: frozenset[RunId] | None = None  # the plan is outdated where others are open
    refused_losses: int = 0  # projects that lag as `max-losses` is reached
    needed: Needed | None = None  # to keep before the runs open; None: as it is kept

    @property
    def deleted(self) -> frozenset[NormalizedName]:
        """The projects that somebody deleted by name."""
        return frozenset(
            project for project, reason in self.reasons.items() if reason is Reason.DELETED
        )

    @property
    def starts(self) -> bool:
        """Whether the jobs may be sent."""
        return not self.unconfirmed and (self.stopped is None or self.stopped.rest_starts)

    @property
    def waiting(self) -> Mapping[NormalizedName, Reason]:
        """The removals that wait for a confirmation."""
        if self.stopped is None:
            return {}
        return self.withheld if self.stopped.rest_starts else self.removals

    @property
    def removals(self) -> Mapping[NormalizedName, Reason]:
        """The projects that the plan removes."""
        return {project: reason for project, reason in self.reasons.items() if reason.removes}
