"""A plan in the making: projects are added, for one reason or several."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.runs import Reason


@dataclass(slots=True)
class Draft:
    """What is planned so far."""

    jobs: dict[NormalizedName, int] = field(default_factory=dict)  # -> serial to reach
    reasons: dict[NormalizedName, Reason] = field(default_factory=dict)
    losing: set[NormalizedName] = field(default_factory=set)
    behind: float | None = None  # when the first of the changes happened, if that is known
    taking_over: bool = False  # another program's mirror is continued

    def add(
        self, project: NormalizedName, serial: int, reason: Reason, *, losing: bool = False
    ) -> None:
        """Plan a project. The first reason counts, but for one that removes it."""
        self.jobs[project] = max(serial, self.jobs.get(project, 0))
        if project not in self.reasons or reason.removes:
            self.reasons[project] = reason
        if losing:
            self.losing.add(project)
