"""A plan in the making: projects are added, for one reason or several."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frumious.model import Loss

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.runs import Reason


@dataclass(slots=True)
class Draft:
    """What is planned so far."""

    jobs: dict[NormalizedName, int] = field(default_factory=dict)  # -> serial to reach
    reasons: dict[NormalizedName, Reason] = field(default_factory=dict)
    losing: dict[NormalizedName, Loss] = field(default_factory=dict)  # where upstream told so
    behind: float | None = None  # when the first of the changes happened, if that is known
    taking_over: bool = False  # another program's mirror is continued

    def add(
        self,
        project: NormalizedName,
        serial: int,
        reason: Reason,
        *,
        may_lose: Loss = Loss.NOTHING,
    ) -> None:
        """Plan a project. The first reason counts, but for one that removes it."""
        self.jobs[project] = max(serial, self.jobs.get(project, 0))
        if project not in self.reasons or reason.removes:
            self.reasons[project] = reason
        self.lose(project, may_lose)

    def lose(self, project: NormalizedName, loss: Loss) -> None:
        """Let that much of a planned project be gone."""
        if loss > self.losing.get(project, Loss.NOTHING):
            self.losing[project] = loss
