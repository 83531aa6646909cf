"""What a planner does with an event; knows nothing of Lambda: the simulation runs it too."""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from frumious.planning.advisories import follow_advisories, plan_advisories
from frumious.planning.dispatch import start_runs
from frumious.planning.lists import failing_lists, follow_lists
from frumious.planning.named import delete, parse_names, request
from frumious.planning.notices import keep_notices
from frumious.planning.plan import plan_changes, plan_deletions, plan_projects
from frumious.planning.retry import confirm_losses, retry
from frumious.selection.unread import ListsUnread
from frumious.state.objects import LedgerCorrupt
from frumious.upstream.failures import TooSlow
from frumious_lambda.planner_checks import Beginning, Names, confirmation_text
from frumious_lambda.planner_event import PlannerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.messaging.job_queue import JobQueue
    from frumious.mirror import Mirror
    from frumious.model.plans import Plan
    from frumious.model.types import RunId
    from frumious.planning.advisories import Update

logger = logging.getLogger("frumious.planner")

_MAX_NAMES: Final = 1000  # absent projects in an answer or a log record
_PLANNING: Final = 0.75  # of the time that is left; the rest is for sending


@dataclass(frozen=True, slots=True)
class Planned:
    """What an event led to."""

    plan: Plan
    runs: Sequence[RunId] = ()  # that were opened
    update: Update | None = None  # of the advisories, if nothing is sent
    absent: Mapping[NormalizedName, NormalizedName | None] | None = None  # as of `Names.absent`
    failing_lists: int = 0  # whose last good copies count

    @property
    def first_absent(self) -> dict[NormalizedName, NormalizedName | None]:
        """The absent names that an answer or a log record has room for."""
        return dict(islice((self.absent or {}).items(), _MAX_NAMES))

    @property
    def stopped(self) -> dict[str, Any]:
        """What waits for a person, as an answer names it."""
        plan = self.plan
        answer: dict[str, Any] = {"regressed": plan.regressed} if plan.regressed else {}
        if plan.stopped is not None:
            answer |= {"stopped": plan.stopped.message, "removals": plan.stopped.removals}
        if plan.unconfirmed:
            answer |= {"stopped": confirmation_text(plan), "projects": plan.unconfirmed}
        return answer


class Planner:
    """Plans and sends, and remembers between two events what need not be read again.

    Attributes:
        names: The names of the allowlist that upstream lacks.
    """

    def __init__(self, queue: JobQueue) -> None:
        self.names = Names()
        self._beginning = Beginning()
        self._queue = queue

    async def preview(self, event: PlannerEvent, mirror: Mirror) -> Planned:
        """Return what an event would lead to; store and send nothing."""
        update: Update | None = None
        if event.is_tick:
            mirror = await follow_lists(mirror, store=False)
            update = await plan_advisories(mirror)
        plan = await self._plan(event, mirror)
        absent = await self.names.absent(plan, mirror, at_once=True)
        return Planned(plan, update=update, absent=absent)

    async def plan_and_send(
        self, event: PlannerEvent, mirror: Mirror, *, deadline: float = math.inf
    ) -> Planned:
        """Plan what an event asks for, and send the jobs until the deadline.

        Planning ends in time for sending, however slowly upstream answers.

        Raises:
            FrumiousError: there is no plan. Jobs of earlier runs are sent nevertheless.
        """
        plan: Plan | None = None
        end = _end_of_planning(deadline)
        try:
            async with _until(end):
                mirror = await _select(mirror)
            if event.projects is not None:
                await request(mirror, parse_names(event.projects))
            if event.delete:
                await delete(mirror, parse_names(event.delete))
            if event.retry:
                await retry(mirror, None if event.retry is True else event.retry)
            if event.confirm_losses:
                await confirm_losses(mirror, event.confirm_losses)
            if event.is_tick:
                confirmed = event.confirm_removals
                await follow_advisories(mirror, self._queue, confirmed=confirmed, deadline=deadline)
            async with _until(end):
                if event.is_tick:
                    mirror = await follow_lists(mirror)
                plan = await self._plan(event, mirror)
        finally:
            runs = await start_runs(plan, mirror, self._queue, deadline=deadline)
        _warn(Planned(plan, runs))
        absent = await self.names.absent(plan, mirror)
        failing = len(await failing_lists(mirror))
        planned = Planned(plan, runs, absent=absent, failing_lists=failing)
        if absent:
            logger.warning("upstream lacks projects", extra={"absent": planned.first_absent})
        await keep_notices(plan, absent, mirror)
        return planned

    async def _plan(self, event: PlannerEvent, mirror: Mirror) -> Plan:
        if event.delete:
            return plan_deletions(event.delete)
        if event.projects is not None:
            return plan_projects(event.projects, allowed_removal=event.may_lose)
        if event == PlannerEvent() and (waiting := self._beginning.waiting(mirror)) is not None:
            return waiting
        plan = await plan_changes(
            mirror,
            force=event.force_check,
            reset=event.reset_serials,
            confirmed_removals=event.confirm_removals,
        )
        return plan if event.all else await self._beginning.check(plan, mirror)


def _end_of_planning(deadline: float) -> float | None:
    """Return until when there may be planning, by the loop's clock; None: as long as it takes."""
    now = asyncio.get_running_loop().time()
    return None if math.isinf(deadline) else now + max(deadline - now, 0.0) * _PLANNING


@asynccontextmanager
async def _until(end: float | None) -> AsyncIterator[None]:
    """End what upstream and the hosts of lists may draw out.

    Raises:
        TooSlow: it was not done in time.
    """
    try:
        async with asyncio.timeout_at(end):
            yield
    except TimeoutError:
        msg = (
            "nothing is planned: upstream, or the host of a list, has not answered in the planner's"
            " time; the next tick asks again"
        )
        raise TooSlow(msg) from None


async def _select(mirror: Mirror) -> Mirror:
    """Return the mirror with the selection by the lists of the last tick.

    What people name, and advisories, do not wait until the lists can be read.
    """
    try:
        return await mirror.with_stored_lists()
    except (ListsUnread, LedgerCorrupt):  # what is damaged is made anew
        return await follow_lists(mirror)


def _warn(planned: Planned) -> None:
    """Log what waits for a person."""
    plan = planned.plan
    if plan.stopped is not None:
        logger.warning("run stopped", extra={"reason": plan.stopped.message})
    if plan.regressed:
        logger.warning("upstream regressed", extra={"reason": plan.regressed})
    if plan.unconfirmed:
        logger.warning("mirror not begun", extra=planned.stopped)
