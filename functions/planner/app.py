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
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import frumious_lambda.cold_start  # noqa: F401 (before the others)
from frumious.errors import FrumiousError
from frumious.messaging.job_queue import JobQueue
from frumious.model.plans import Plan
from frumious.planning.advisories import follow_advisories, plan_advisories, together
from frumious.planning.dispatch import start_runs
from frumious.planning.lists import follow_lists
from frumious.planning.named import delete, parse_names, request
from frumious.planning.notices import keep_notices
from frumious.planning.plan import plan_changes, plan_deletions, plan_projects, summary
from frumious.planning.retry import confirm_losses, retry
from frumious.selection.locks import ListsUnread
from frumious_lambda.environment import Environment
from frumious_lambda.planner_checks import Beginning, Names, confirmation_text
from frumious_lambda.planner_event import check_event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext
    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror

_MAX_NAMES: Final = 1000  # absent projects in an answer or a log record

environment = Environment()
queue = JobQueue(os.environ["FRUMIOUS_QUEUE_URL"])
beginning, names = Beginning(), Names()


@environment.logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Plan and send jobs; answer with the runs' names and how many jobs they have."""
    check_event(event)
    deadline = environment.deadline(context)
    try:
        environment.refresh()
    except FrumiousError:
        if environment.is_open and not event.get("dry_run"):  # by the last valid configuration
            environment.run(start_runs(None, environment.mirror, queue, deadline=deadline))
        raise
    if event.get("dry_run"):
        return environment.run(_dry_run(event))
    return environment.run(_plan_and_send(event, deadline))


async def _dry_run(event: dict[str, Any]) -> dict[str, Any]:
    mirror = environment.mirror
    if _is_tick(event):
        mirror = await follow_lists(mirror, store=False)
    update = await plan_advisories(mirror) if _is_tick(event) else None
    plan = await _plan(event, mirror)
    absent = await names.absent(plan, mirror, at_once=True)
    environment.report()
    shown = summary(together(plan, update))
    return {"plan": shown, **_stopped(plan), **({"absent": _first(absent)} if absent else {})}


async def _plan_and_send(event: dict[str, Any], deadline: float) -> dict[str, Any]:
    mirror = environment.mirror
    plan: Plan | None = None
    try:
        mirror = await _select()
        if "projects" in event:
            await request(mirror, parse_names(event["projects"]))
        if deleted := event.get("delete"):
            await delete(mirror, parse_names(deleted))
        if lagging := event.get("retry"):
            await retry(mirror, None if lagging is True else lagging)
        if files := event.get("confirm_losses"):
            await confirm_losses(mirror, files)
        if _is_tick(event):
            confirmed = event.get("confirm_removals", 0)
            await follow_advisories(mirror, queue, confirmed=confirmed, deadline=deadline)
            mirror = await follow_lists(mirror)
        plan = await _plan(event, mirror)
    finally:  # earlier runs are sent whatever keeps this tick from planning
        runs = await start_runs(plan, mirror, queue, deadline=deadline)
    if plan.stopped is not None:
        environment.logger.warning("run stopped", extra={"reason": plan.stopped.message})
    if plan.regressed:
        environment.logger.warning("upstream regressed", extra={"reason": plan.regressed})
    if plan.unconfirmed:
        environment.logger.warning("mirror not begun", extra=_stopped(plan))
    absent = await names.absent(plan, mirror)
    if absent:
        extra = {"absent": _first(absent)}
        environment.logger.warning("upstream lacks projects", extra=extra)
    await keep_notices(plan, absent, mirror)
    started = plan if runs else Plan()
    environment.report(
        projects_planned=len(started.jobs),
        removals_planned=sum(reason.removes for reason in started.reasons.values()),
        retries_planned=len(started.retries),
        # Named projects say nothing of a stopped run: its alarm waits for the next tick.
        runs_stopped=None if plan.base is None else int(_is_stopped(plan)),
        input_problems=None if plan.base is None else _input_problems(plan),
        names_absent=None if absent is None else len(absent),
    )
    first = runs[0] if runs else None
    return {"runs": runs, "run": first, "jobs": len(started.jobs), **_stopped(plan)}


async def _select() -> Mirror:
    """Return the mirror with the selection by the lists of the last tick.

    What people name, and advisories, do not wait until the lists can be read.
    """
    try:
        return await environment.mirror.with_stored_lists()
    except ListsUnread:
        return await follow_lists(environment.mirror)


async def _plan(event: dict[str, Any], mirror: Mirror) -> Plan:
    if deleted := event.get("delete"):
        return plan_deletions(deleted)
    if (requested := event.get("projects")) is not None:
        return plan_projects(requested, allowed_removal=event.get("may_lose", False))
    if not event and (waiting := beginning.waiting(mirror)) is not None:
        return waiting
    plan = await plan_changes(
        mirror,
        force=event.get("force_check", False),
        reset=event.get("reset_serials", False),
        confirmed_removals=event.get("confirm_removals", 0),
    )
    return plan if event.get("all") else await beginning.check(plan, mirror)


def _first(absent: Mapping[NormalizedName, Any]) -> dict[NormalizedName, Any]:
    """Return the absent names that an answer or a log record has room for."""
    return dict(islice(absent.items(), _MAX_NAMES))


def _is_tick(event: dict[str, Any]) -> bool:
    """Return whether the whole mirror is planned, not named projects."""
    return not event.get("delete") and event.get("projects") is None


def _input_problems(plan: Plan) -> int:
    """Count what is wrong with what the planner reads: upstream, the allowlist, the advisories."""
    feed_failed = plan.base is not None and plan.base.advisories.problem is not None
    return bool(plan.regressed) + feed_failed + names.count


def _is_stopped(plan: Plan) -> bool:
    """Return whether something waits for an operator's confirmation."""
    return plan.stopped is not None or plan.refused_losses > 0 or plan.unconfirmed > 0


def _stopped(plan: Plan) -> dict[str, Any]:
    answer: dict[str, Any] = {"regressed": plan.regressed} if plan.regressed else {}
    if plan.stopped is not None:
        answer |= {"stopped": plan.stopped.message, "removals": plan.stopped.removals}
    if plan.unconfirmed:
        answer |= {"stopped": confirmation_text(plan), "projects": plan.unconfirmed}
    return answer
