"""What functions/*/app.py and cli/main.py do, without Lambda, Powertools and the terminal."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import msgspec

from frumious.auditing.audit import AuditSettings, audit
from frumious.cli.findings import verify_mirror
from frumious.errors import FrumiousError
from frumious.finalizing.finalize import finalize
from frumious.local import run_here
from frumious.model.jobs import Job, Report, Result
from frumious.planning import named
from frumious.planning.dispatch import start_runs
from frumious.planning.plan import plan_changes, plan_deletions, plan_projects
from frumious.planning.retry import confirm_losses, retry
from frumious.state import inbox
from frumious.state.audit import AuditStore
from frumious.state.status_files import publish_audit
from frumious.syncing.delivery import Batch, Continuation, Delivery, RetryLater, retry_pause
from tests.simulation.queue import MAX_RECEIVES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from frumious.cli.findings import Verified
    from frumious.messaging.dead_letter_queue import DeadLetterQueue
    from frumious.messaging.events import Event
    from frumious.messaging.job_queue import JobQueue
    from frumious.mirror import Mirror
    from frumious.model.audits import Finding
    from frumious.model.plans import Plan
    from tests.simulation.queue import Message, Queues

_TIMEOUT = 885.0  # seconds; of a function, without those that it keeps for the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the planner, or the command, is asked for."""

    projects: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    may_lose: bool = False
    confirm_removals: int = 0
    force_check: bool = False
    retry: bool = False
    reset_serials: bool = False
    confirm_losses: int = 0
    dry_run: bool = False
    verify: bool = False
    deep: bool = False

    def __str__(self) -> str:
        """Return what is not as usual."""
        asked = ((each.name, getattr(self, each.name)) for each in fields(self))
        return ", ".join(f"{name} = {value}" for name, value in asked if value)


async def planner(request: Request, mirror: Mirror, queue: JobQueue) -> Plan:
    """Plan and send, as functions/planner/app.py does."""
    if request.dry_run:
        return await _plan(request, mirror)
    await _confirm(request, mirror)
    plan: Plan | None = None
    try:
        plan = await _plan(request, mirror)
    finally:
        await start_runs(plan, mirror, queue)
    return plan


async def _confirm(request: Request, mirror: Mirror) -> None:
    if request.projects:
        await named.request(mirror, named.parse_names(request.projects))
    if request.delete:
        await named.delete(mirror, named.parse_names(request.delete))
    if request.retry:
        await retry(mirror, None)
    if request.confirm_losses:
        await confirm_losses(mirror, request.confirm_losses)


async def _plan(request: Request, mirror: Mirror) -> Plan:
    if request.delete:
        return plan_deletions(request.delete)
    if request.projects:
        return plan_projects(request.projects, allowed_removal=request.may_lose)
    return await plan_changes(
        mirror,
        force=request.force_check,
        reset=request.reset_serials,
        confirmed_removals=request.confirm_removals,
    )


async def worker(messages: list[Message], mirror: Mirror, queue: JobQueue, queues: Queues) -> None:
    """Work on a batch as functions/worker/app.py does; then delete what is done, as Lambda does."""
    received = [*messages]
    try:
        batch = await Batch.begin(mirror)
    except FrumiousError:
        _return_batch(received, queue)
        return
    deadline = asyncio.get_running_loop().time() + _TIMEOUT
    reports: list[Report] = []
    done: list[Message] = []

    async def work(message: Message) -> None:
        job = msgspec.json.decode(message.body, type=Job)
        receives = message.receives
        delivery = Delivery(job, receives, last=receives >= MAX_RECEIVES, deadline=deadline)
        match await batch.work(delivery):
            case Result() as result:
                reports.append(Report(job, result))
            case Continuation(job=continuation):
                await asyncio.to_thread(queue.send, [continuation])
            case RetryLater(pause=pause) as later:
                reports.append(later.report)
                messages.remove(message)  # it is leased no longer
                await asyncio.to_thread(queue.set_visibility, [message.receipt], pause)
                return
        done.append(message)

    outcomes = await asyncio.gather(*map(work, received), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, FrumiousError):
            raise outcome
    try:
        await inbox.record(mirror.storage, reports)
    except FrumiousError:
        _return_batch(received, queue)
        return
    for message in done:
        queues.delete(message)


def _return_batch(messages: Sequence[Message], queue: JobQueue) -> None:
    receives = max(message.receives for message in messages)
    queue.set_visibility([message.receipt for message in messages], retry_pause(receives))


async def finalizer(mirror: Mirror, dead_letter_queue: DeadLetterQueue) -> None:
    """Finalize, as functions/finalizer/app.py does."""
    dead = dead_letter_queue.receive()
    obsolete: frozenset[Job] = frozenset()
    try:
        finalized = await finalize(
            mirror, dead=[message.job for message in dead], publish_events=_publish
        )
        obsolete = frozenset(finalized.obsolete)
    finally:
        dead_letter_queue.delete(each.receipt for each in dead if each.job in obsolete)
        dead_letter_queue.return_to_queue(each.receipt for each in dead if each.job not in obsolete)


async def _publish(events: Iterable[Event]) -> None:
    """Drop the events: they are news, and may be lost."""
    for _ in events:
        pass


async def auditor(mirror: Mirror) -> list[Finding]:
    """Audit, as functions/auditor/app.py does; return what is found."""
    progress = await audit(mirror, AuditSettings())
    await publish_audit(progress, progress.counts, 0, mirror.storage)
    return [each async for each in AuditStore(mirror.storage).findings(progress)]


async def command(request: Request, mirror: Mirror) -> Plan | Verified:
    """Do what `frumious mirror`, `sync`, `delete` or `verify` does; a plan may be stopped."""
    if request.verify:
        settings = AuditSettings(deep=request.deep)
        return await verify_mirror(
            mirror, settings, repair=True, delete_orphans=True, shows_progress=False
        )
    await _confirm(request, mirror)
    plan = await _plan(request, mirror)
    if plan.starts and not request.dry_run:
        await run_here(plan, mirror, lambda _sent, _result: None)
    return plan
