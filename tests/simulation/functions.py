"""The functions of the stack and the command, without Lambda, Powertools and the terminal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct

from frumious.auditing.audit import AuditSettings
from frumious.cli.findings import verify_mirror
from frumious.cli.runs import carry_out, no_advisories
from frumious.errors import FrumiousError
from frumious.meter import Meter
from frumious.planning import named
from frumious.planning.advisories import plan_advisories
from frumious.planning.plan import plan_changes, plan_deletions, plan_projects
from frumious.planning.retry import confirm_losses, retry
from frumious.state.audit import AuditStore
from frumious_lambda import worker
from frumious_lambda.auditor import continue_audit
from frumious_lambda.finalizer import finalize_with_dead_letters
from tests.simulation.queue import MAX_RECEIVES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.cli.findings import Verified
    from frumious.messaging.dead_letter_queue import DeadLetterQueue
    from frumious.messaging.events import Event
    from frumious.messaging.job_queue import JobQueue
    from frumious.mirror import Mirror
    from frumious.model.audits import Finding
    from frumious.model.jobs import Result
    from frumious.model.plans import Plan, Reason
    from frumious_lambda.planner import Planner
    from frumious_lambda.planner_event import PlannerEvent
    from tests.simulation.queue import Message, Queues

_TIMEOUT = 885.0  # seconds; of a function, without those that it keeps for the end


class Verification(Struct, frozen=True):
    """What `frumious verify` is asked for."""

    deep: bool = False


async def plan(event: PlannerEvent, mirror: Mirror, planner: Planner) -> Plan:
    """Do what functions/planner/app.py does."""
    work = planner.preview if event.dry_run else planner.plan_and_send
    return (await work(event, mirror)).plan


async def work(
    messages: Sequence[Message], leased: set[str], mirror: Mirror, queue: JobQueue, queues: Queues
) -> None:
    """Do what functions/worker/app.py does; then delete what is done, as Lambda does."""
    by_receipt = {message.receipt: message for message in messages}
    received = [worker.Message(each.receipt, each.body, each.receives) for each in messages]
    deadline = asyncio.get_running_loop().time() + _TIMEOUT
    try:
        worked = await worker.work_on(
            received, mirror, queue, leased, max_receives=MAX_RECEIVES, deadline=deadline
        )
    except FrumiousError:
        worker.return_to_queue(received, queue)
        return
    for _, error in worked.errors:
        if not isinstance(error, FrumiousError):
            raise error
    for message in received:
        if message not in worked.kept:
            queues.delete(by_receipt[message.receipt])


async def finalize(mirror: Mirror, dead_letter_queue: DeadLetterQueue) -> None:
    """Do what functions/finalizer/app.py does."""
    await finalize_with_dead_letters(mirror, dead_letter_queue, _publish)


async def _publish(events: Iterable[Event]) -> None:
    """Drop the events: they are news, and may be lost."""
    for _ in events:
        pass


async def audit(mirror: Mirror) -> list[Finding]:
    """Do what functions/auditor/app.py does; return what is found."""
    progress = await continue_audit(mirror)
    return [each async for each in AuditStore(mirror.storage).findings(progress)]


async def command(request: PlannerEvent | Verification, mirror: Mirror) -> Plan | Verified:
    """Do what `frumious mirror`, `sync`, `delete` or `verify` does; a plan may be stopped."""
    if isinstance(request, Verification):
        settings = AuditSettings(deep=request.deep)
        return await verify_mirror(
            mirror, settings, repair=True, delete_orphans=True, shows_progress=False
        )
    if request.projects is not None:
        await named.request(mirror, named.parse_names(request.projects))
    if request.delete:
        await named.delete(mirror, named.parse_names(request.delete))
    if request.retry:
        await retry(mirror, None)
    if request.confirm_losses:
        await confirm_losses(mirror, request.confirm_losses)
    if request.dry_run:
        return await _plan(request, mirror)
    advisories = plan_advisories if request.is_tick else no_advisories
    planned, _, _ = await carry_out(
        mirror, lambda mirror: _plan(request, mirror), _Silent(), Meter(), advisories
    )
    return planned


class _Silent:
    """Shows nothing of what becomes of jobs."""

    reasons: Mapping[NormalizedName, Reason]

    def __call__(self, jobs: int, result: Result | None) -> None:
        """Take the number of jobs so far, and the result of one."""


async def _plan(request: PlannerEvent, mirror: Mirror) -> Plan:
    if request.delete:
        return plan_deletions(request.delete)
    if request.projects is not None:
        return plan_projects(request.projects, allowed_removal=request.may_lose)
    return await plan_changes(
        mirror,
        force=request.force_check,
        reset=request.reset_serials,
        confirmed_removals=request.confirm_removals,
    )
