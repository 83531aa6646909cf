"""What the planner checks besides changes: names of the allowlist, and how a mirror begins."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.model.plans import Plan
from frumious.planning.absent_names import absent_names
from frumious.planning.everything import (
    everything_text,
    release_json_text,
    unconfirmed_projects,
)

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.config.settings import Config
    from frumious.mirror import Mirror

logger = logging.getLogger(__name__)

_PAUSE: Final = 3600.0  # seconds until the same is read again


class Beginning:
    """Lets a new mirror wait whose many projects no list names, until somebody confirms it."""

    def __init__(self) -> None:
        self._waiting: tuple[Config, str, float, Plan] | None = None

    def waiting(self, mirror: Mirror) -> Plan | None:
        """Return the plan that waits, without a request; None: plan again."""
        if self._waiting is None:
            return None
        config, lists, since, plan = self._waiting
        is_same = config is mirror.config and lists == mirror.selection.lists
        return plan if is_same and _is_recent(since, mirror) else None

    async def check(self, plan: Plan, mirror: Mirror) -> Plan:
        """Return the plan, which does not start if it begins a mirror that nobody has confirmed."""
        if warning := release_json_text(plan, mirror):
            logger.warning("%s", warning)
        projects = await unconfirmed_projects(plan, mirror)
        if not projects:
            self._waiting = None
            return plan
        without_jobs = Plan(base=plan.base, cursor=plan.cursor, unconfirmed=projects)
        now = mirror.clock.now()
        self._waiting = (mirror.config, mirror.selection.lists, now, without_jobs)
        return replace(plan, unconfirmed=projects)


def confirmation_text(plan: Plan) -> str:
    """Explain how to confirm a new mirror."""
    text = everything_text(plan.unconfirmed)
    return f'{text}; list projects as [allowlist] packages, or confirm with {{"all": true}}'


class Names:
    """Finds the names of the allowlist that upstream lacks, once an hour.

    Attributes:
        count: How many there were when that was last looked at.
    """

    def __init__(self) -> None:
        self.count = 0
        self._checked: tuple[Config, str, float] | None = None

    async def absent(
        self, plan: Plan, mirror: Mirror, *, at_once: bool = False
    ) -> dict[NormalizedName, NormalizedName | None] | None:
        """Return these names, each with a similar one that exists; None: not known at this tick.

        Projects of open runs may still appear. Therefore the check waits for the end of all runs,
        except with `at_once`.
        """
        if plan.base is None:
            return None
        if not mirror.selection.expected_projects:
            self.count = 0
            return {}
        if not at_once and (plan.jobs or plan.base.runs or not self._is_due(mirror)):
            return None
        lagging = await mirror.ledger.lagging() if plan.base.lagging else {}
        absent = await absent_names(mirror, {*plan.jobs, *lagging})
        if not at_once:
            self.count = len(absent)
            self._checked = (mirror.config, mirror.selection.lists, mirror.clock.now())
        return absent

    def _is_due(self, mirror: Mirror) -> bool:
        if self._checked is None:
            return True
        config, lists, at = self._checked
        is_new = config is not mirror.config or lists != mirror.selection.lists
        return is_new or not _is_recent(at, mirror)


def _is_recent(at: float, mirror: Mirror) -> bool:
    """Return whether a time is within the last hour: one in the future is a wrong clock's."""
    return 0 <= mirror.clock.now() - at < _PAUSE
