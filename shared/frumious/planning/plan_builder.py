"""A plan in the making: projects are added, for one reason or several."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frumious.model.jobs import AllowedRemoval

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.model.plans import Reason


@dataclass(slots=True)
class Draft:
    """What is planned so far."""

    jobs: dict[NormalizedName, int] = field(default_factory=dict)  # -> serial to reach
    reasons: dict[NormalizedName, Reason] = field(default_factory=dict)
    allowed_removals: dict[NormalizedName, AllowedRemoval] = field(
        default_factory=dict
    )  # where upstream told so
    behind: float | None = None  # when the first of the changes happened, if that is known
    migrating: bool = False  # another program's mirror is continued

    def add(
        self,
        project: NormalizedName,
        serial: int,
        reason: Reason,
        *,
        allowed_removal: AllowedRemoval = AllowedRemoval.NOTHING,
    ) -> None:
        """Plan a project. The first reason counts, but for one that removes it."""
        self.jobs[project] = max(serial, self.jobs.get(project, 0))
        if project not in self.reasons or reason.removes:
            self.reasons[project] = reason
        self.lose(project, allowed_removal)

    def lose(self, project: NormalizedName, loss: AllowedRemoval) -> None:
        """Let that much of a planned project be gone."""
        if loss > self.allowed_removals.get(project, AllowedRemoval.NOTHING):
            self.allowed_removals[project] = loss
