"""Lambda: on a schedule, plan what changed upstream and send it to the queue as jobs.

A tick is an empty event. The others are sent by hand:

    {"projects": ["six"]}       plan these alone, and do not ask upstream what changed; with
                                "may_lose": true they may lose most of their files without an event
    {"delete": ["six"]}         remove these at once, and keep them out of the mirror until they are
                                planned by name, or the configuration asks for them anew
    {"dry_run": true}           show what would be done, and why; do nothing
    {"confirm_removals": 57}    a tick that may remove up to 57 projects
    {"confirm_losses": 5700}    a tick that retries what max-losses stopped; upstream may take away
                                up to 5700 files within a day
    {"all": true}               a tick that may begin a mirror of more than 1000 projects which no
                                list in the configuration names
    {"force_check": true}       a tick that plans everything
    {"retry": true}             a tick for which lagging projects are due; or ["six"]: only those
    {"reset_serials": true}     a tick that counts upstream's serials anew, after upstream was
                                restored from a backup, or master changed to another index
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import frumious_lambda.cold_start  # noqa: F401 (before the others)
from frumious.errors import FrumiousError
from frumious.messaging.job_queue import JobQueue
from frumious.model.plans import Plan
from frumious.planning.advisories import together
from frumious.planning.dispatch import start_runs
from frumious.planning.plan import summary
from frumious_lambda.environment import Environment
from frumious_lambda.planner import Planner
from frumious_lambda.planner_event import parse_event

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from frumious_lambda.planner import Planned

environment = Environment()
queue = JobQueue(os.environ["FRUMIOUS_QUEUE_URL"])
planner = Planner(queue)


@environment.logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Plan and send jobs; answer with the runs' names and how many jobs they have."""
    parsed = parse_event(event)
    deadline = environment.deadline(context)
    try:
        environment.refresh()
    except FrumiousError:
        if environment.is_open and not parsed.dry_run:  # by the last valid configuration
            environment.run(start_runs(None, environment.mirror, queue, deadline=deadline))
        raise
    mirror = environment.mirror
    if parsed.dry_run:
        planned = environment.run(planner.preview(parsed, mirror))
        environment.report()
        absent = {"absent": planned.first_absent} if planned.absent else {}
        shown = summary(together(planned.plan, planned.update))
        return {"plan": shown, **planned.stopped, **absent}
    planned = environment.run(planner.plan_and_send(parsed, mirror, deadline=deadline))
    return report(planned)


def report(planned: Planned) -> dict[str, Any]:
    """Log what was planned, and return the answer."""
    plan, runs = planned.plan, planned.runs
    started = plan if runs else Plan()
    environment.report(
        projects_planned=len(started.jobs),
        removals_planned=sum(reason.removes for reason in started.reasons.values()),
        retries_planned=len(started.retries),
        # Named projects say nothing of a stopped run: its alarm waits for the next tick.
        runs_stopped=None if plan.base is None else int(_is_stopped(plan)),
        input_problems=None if plan.base is None else _input_problems(planned),
        names_absent=None if planned.absent is None else len(planned.absent),
    )
    first = runs[0] if runs else None
    return {"runs": runs, "run": first, "jobs": len(started.jobs), **planned.stopped}


def _input_problems(planned: Planned) -> int:
    """Count what is wrong with upstream, lists, advisories, attestations, closure and [private]."""
    plan = planned.plan
    feed_failed = plan.base is not None and plan.base.advisories.problem is not None
    unverified = 0 if plan.base is None else plan.base.unverified
    lists = planner.names.count + planned.failing_lists
    return bool(plan.regressed) + feed_failed + lists + unverified + len(plan.problems)


def _is_stopped(plan: Plan) -> bool:
    """Return whether something waits for an operator's confirmation."""
    return plan.stopped is not None or plan.refused_losses > 0 or plan.unconfirmed > 0
