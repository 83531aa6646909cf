"""What the cooldown holds back, and what the cursor knows of that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from frumious.model.types import Count, ProjectName, Seconds, Serial

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName


class HeldBack(Struct, frozen=True, array_like=True):
    """How many files of a project wait, and when the first of them is ripe."""

    ripens: Seconds
    files: Count
    serial: Serial  # of the page that lists them; 0: unknown
    revision: Count  # of the state that has this first

    def __post_init__(self) -> None:
        if not (self.ripens and self.files and self.revision):
            msg = f"{self} has no file, no time or no revision, so that no planner finds it"
            raise ValueError(msg)


class Change(NamedTuple):
    """What a job reports of a project; without files, nothing is held back."""

    project: NormalizedName
    ripens: float
    files: int
    serial: int
    rewinding: bool  # it counts although its serial is lower


class HeldBackFile(Struct, frozen=True):
    """The projects of which files wait: one object for the mirror."""

    revision: Count = 0  # grows with each change
    projects: Mapping[ProjectName, HeldBack] = {}

    def __post_init__(self) -> None:
        newest = max((each.revision for each in self.projects.values()), default=0)
        if newest > self.revision:
            msg = f"a project is of revision {newest}, and all of them of revision {self.revision}"
            raise ValueError(msg)

    def changed(self, changes: Iterable[Change]) -> HeldBackFile:
        """Return the state after some reports, the oldest first.

        Every report counts as news, so that a project which was still held back when a planner
        took it for ripe is planned again.
        """
        revision = self.revision + 1
        projects = dict(self.projects)
        for each in changes:
            before = projects.get(each.project)
            if before is not None and each.serial < before.serial and not each.rewinding:
                continue
            projects.pop(each.project, None)
            if each.files and each.ripens:
                projects[each.project] = HeldBack(each.ripens, each.files, each.serial, revision)
        if projects.keys() == self.projects.keys() and all(
            entry.revision < revision for entry in projects.values()
        ):
            return self
        return HeldBackFile(revision, projects)

    @property
    def files(self) -> int:
        """How many files wait."""
        return sum(each.files for each in self.projects.values())

    @property
    def ripens(self) -> float:
        """When the first of them is ripe; 0: none waits."""
        return min((each.ripens for each in self.projects.values()), default=0.0)


class Ripening(Struct, frozen=True, array_like=True):
    """What the cursor knows of the projects of which files wait.

    A planner reads their state only when the next one is due. It plans each project once: if the
    job fails, the project lags; if files still wait after it, its result has a new revision.
    """

    revision: Count = 0  # of the state as it was last noted here; 0: there is none
    due: Seconds = 0.0  # when the next project is; 0: none is
    planned: Count = 0  # the revision of the state from which projects were planned last,
    until: Seconds = 0.0  # and up to when they had ripened

    def unplanned(self, held_back: HeldBackFile) -> Mapping[NormalizedName, float]:
        """Return the projects that are not planned yet, and when each is due."""
        return {
            project: each.ripens
            for project, each in held_back.projects.items()
            if each.revision > self.planned or each.ripens > self.until
        }

    def noting(self, held_back: HeldBackFile) -> Ripening:
        """Return the same after a change of the state; finalizers may come in any order."""
        if held_back.revision <= self.revision:
            return self
        due = min(self.unplanned(held_back).values(), default=0.0)
        return replace(self, revision=held_back.revision, due=due)

    def planning(self, held_back: HeldBackFile, now: float) -> Ripening:
        """Return the same after a plan of all that is due now."""
        after = replace(self, revision=held_back.revision, planned=held_back.revision, until=now)
        due = min(after.unplanned(held_back).values(), default=0.0)
        return replace(after, due=due)

    def merging(self, base: Ripening, planned: Ripening) -> Ripening:
        """Return the current value after a plan that made `planned` of `base`."""
        if planned == base:
            return self
        if not planned.revision or planned.revision >= self.revision:
            return planned
        earliest = min(filter(None, (self.due, planned.due)), default=0.0)
        return replace(self, due=earliest, planned=planned.planned, until=planned.until)

    def forgetting_plans(self) -> Ripening:
        """Return the same where plans were lost: the next planner reads the state."""
        return Ripening(revision=self.revision, due=1.0) if self.revision else self

    def at(self, latest: float) -> Ripening:
        """Return the same without plans from the future, which a wrong clock made."""
        return self if self.until <= latest else self.forgetting_plans()
