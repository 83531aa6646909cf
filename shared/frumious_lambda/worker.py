"""What a worker does with messages; knows nothing of Lambda: the simulation runs it too."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from frumious.concurrency import run_all
from frumious.model.jobs import Job, Report, Result
from frumious.state import inbox
from frumious.syncing.delivery import Batch, Continuation, Delivery, RetryLater, retry_pause
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from frumious.messaging.job_queue import JobQueue
    from frumious.mirror import Mirror


class Message(NamedTuple):
    """A job as the queue delivers it."""

    receipt: str
    body: str
    receives: int  # how often it was delivered


class Worked(Value, frozen=True):
    """What became of a batch of messages."""

    reports: Sequence[Report]
    kept: Collection[Message]  # that the queue is to deliver again
    errors: Sequence[tuple[Message, Exception]]  # why some of them could not be handled


async def work_on(  # noqa: PLR0913 (what is known)
    messages: Sequence[Message],
    mirror: Mirror,
    queue: JobQueue,
    leased: set[str],
    *,
    max_receives: int,
    deadline: float,
) -> Worked:
    """Do the jobs of a batch at the same time, and leave their reports in the inbox.

    `leased` are the receipts whose messages are to stay invisible; those that are retried later
    leave it.

    Raises:
        FrumiousError: nobody knows what was done: the whole batch is to be delivered again.
    """
    batch = await Batch.begin(mirror)
    reports: list[Report] = []
    kept: list[Message] = []
    errors: list[tuple[Message, Exception]] = []

    async def work(message: Message) -> None:
        job = msgspec.json.decode(message.body, type=Job)
        last = message.receives >= max_receives
        match await batch.work(Delivery(job, message.receives, last=last, deadline=deadline)):
            case Result() as result:
                reports.append(Report(job, result))
            case Continuation(job=continuation):
                await asyncio.to_thread(queue.send, [continuation])
            case RetryLater(pause=pause) as later:
                reports.append(later.report)
                kept.append(message)
                leased.discard(message.receipt)
                await asyncio.to_thread(queue.set_visibility, [message.receipt], pause)

    async def try_to_work(message: Message) -> None:
        try:
            await work(message)
        except Exception as error:  # noqa: BLE001 (whatever it is, it concerns this message alone)
            errors.append((message, error))

    await run_all(map(try_to_work, messages))
    await inbox.record(mirror.storage, reports)
    return Worked(reports, {*kept, *(message for message, _ in errors)}, errors)


def return_to_queue(messages: Sequence[Message], queue: JobQueue) -> None:
    """Let the queue deliver a batch again: after a pause, not after its own timeout."""
    pause = retry_pause(max(message.receives for message in messages))
    queue.set_visibility([message.receipt for message in messages], pause)
