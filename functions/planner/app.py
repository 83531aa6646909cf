"""Lambda: on a schedule, what changed upstream becomes runs of jobs on the queue.

A tick is an empty event. The others are sent by hand:

    {"projects": ["six"]}       those alone, and upstream is not asked what changed; with
                                "may_lose": true they may lose most of their files without an event
    {"dry_run": true}           tell what would be done, and why; do nothing
    {"confirm_removals": 57}    a tick that may remove up to 57 projects
    {"force_check": true}       a tick that plans everything anew
    {"retry": true}             a tick for which lagging projects are due; or ["six"]: only those
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from frumious.errors import FrumiousError
from frumious.model.plans import Plan
from frumious.planning import plan
from frumious.planning.dispatch import start_runs
from frumious.planning.retry import retry
from frumious_lambda.environment import Environment

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

KNOWN = {"confirm_removals", "dry_run", "force_check", "may_lose", "projects", "retry"}

environment = Environment()
queue = environment.queue()


class UnknownRequest(FrumiousError):
    """The event asks for something that the planner does not know."""


@environment.logger.inject_lambda_context
@environment.metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Plan and send jobs; answers with the runs' names and how many jobs they have."""
    if unknown := event.keys() - KNOWN:
        msg = f"the event has {min(unknown)!r}; the planner knows {', '.join(sorted(KNOWN))}"
        raise UnknownRequest(msg)
    if event.get("dry_run"):
        return environment.run(_tell(event))
    return environment.run(_start(event, environment.deadline(context)))


async def _start(event: dict[str, Any], deadline: float) -> dict[str, Any]:
    mirror = environment.mirror
    if again := event.get("retry"):
        await retry(mirror, None if again is True else again)
    planned: Plan | None = None
    stopped: dict[str, Any] = {}
    try:
        planned = await _plan(event)
    except plan.TooManyRemovals as stop:
        environment.logger.warning("run stopped", extra={"reason": str(stop)})
        stopped = {"stopped": str(stop), "removals": stop.removals}
    # Runs that were planned before are sent in any case.
    runs = await start_runs(planned, mirror, queue, deadline=deadline)
    done = planned if runs and planned is not None else Plan()
    environment.count(
        ProjectsPlanned=len(done.jobs),
        RemovalsPlanned=sum(reason.removes for reason in done.reasons.values()),
        RetriesPlanned=len(done.retries),
        RunsStopped=len(stopped) > 0,
    )
    return {"runs": runs, "run": runs[0] if runs else None, "jobs": len(done.jobs), **stopped}


async def _tell(event: dict[str, Any]) -> dict[str, Any]:
    stopped: dict[str, Any] = {}
    try:
        planned = await _plan(event)
    except plan.TooManyRemovals as stop:
        planned = stop.plan  # what it would remove is what one wants to see
        stopped = {"stopped": str(stop), "removals": stop.removals}
    environment.count()
    return {"plan": plan.told(planned), **stopped}


async def _plan(event: dict[str, Any]) -> Plan:
    if (names := event.get("projects")) is not None:
        return plan.plan_projects(names, allowed_removal=event.get("may_lose", False))
    return await plan.plan_changes(
        environment.mirror,
        force=event.get("force_check", False),
        confirmed_removals=event.get("confirm_removals", 0),
    )
