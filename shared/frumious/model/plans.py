"""What a tick of the planner decides: which projects, up to which serial, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

    from frumious.model.jobs import AllowedRemoval
    from frumious.model.runs import Cursor, Selected


class Reason(StrEnum):
    """Why a project is part of a plan."""

    NAMED = "asked for by name"
    NEW = "not here yet"
    CHANGED = "changed upstream"
    DIFFERS = "differs from upstream, though no event says so"
    RESELECTED = "its files are selected or shown in another way"
    FORCED = "everything is checked"
    LAGGING = "behind upstream, and due again"
    REMOVED = "removed upstream"
    UNWANTED = "no longer selected"

    @property
    def removes(self) -> bool:
        """Whether the project is to leave the mirror."""
        return self in {Reason.REMOVED, Reason.UNWANTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be done, and why: a value that can be shown before anything happens.

    All of `jobs`, split into runs, is opened together with the step from `base` to `cursor`.
    """

    jobs: Mapping[NormalizedName, int] = field(default_factory=dict)  # -> serial to reach
    reasons: Mapping[NormalizedName, Reason] = field(default_factory=dict)
    allowed_removals: Mapping[NormalizedName, AllowedRemoval] = field(
        default_factory=dict
    )  # where upstream told so
    retries: frozenset[NormalizedName] = frozenset()  # lagging projects that are due
    named: frozenset[NormalizedName] = frozenset()  # of them, and of the jobs
    recovering: frozenset[NormalizedName] = (
        frozenset()
    )  # an earlier run may have left things undone
    migrating: bool = False  # another program's mirror is continued
    behind: float = 0.0  # since when the mirror lacks what is planned, seconds since the epoch
    base: Cursor | None = None  # that it was planned from; None: named projects, whatever it is
    cursor: Cursor | None = None  # what it becomes, but for the runs
    selected: Selected | None = None  # what is kept when the runs are open; None: as it was
