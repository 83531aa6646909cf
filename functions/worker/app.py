"""Lambda: jobs from the queue bring their projects in step with upstream, several at once."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec

import frumious_lambda.cold_start  # noqa: F401 (before the others)
from frumious.concurrency import run_all
from frumious.errors import FrumiousError
from frumious.messaging.job_queue import JobQueue
from frumious.model.jobs import Job, Report, Result, job_counts
from frumious.state import inbox
from frumious.syncing.delivery import Batch, Continuation, Delivery, RetryLater, retry_pause
from frumious_lambda.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aws_lambda_powertools.utilities.typing import LambdaContext

# The queue's own visibility timeout outlasts the function's. Leased for a short time again and
# again instead, what a worker had when it crashed comes back soon.
LEASE_SECONDS = 120
MAX_CALL_SECONDS = 5

environment = Environment()
queue = JobQueue(os.environ["FRUMIOUS_QUEUE_URL"])
max_receives = int(os.environ["FRUMIOUS_MAX_RECEIVES"])
heartbeat = ThreadPoolExecutor(1)  # its own, so that it never waits for the storage's calls


@environment.logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Work on a batch; return the messages that the queue is to deliver again."""
    try:
        environment.refresh(keep_last=True)
        batch = environment.run(Batch.begin(environment.mirror))
    except FrumiousError as error:
        return return_batch(event, error)
    deadline = environment.deadline(context)
    records = event["Records"]
    leased = {record["receiptHandle"] for record in records}
    reports: list[Report] = []

    async def work(record: dict[str, Any]) -> bool:
        """Do a message's job; return whether the queue may delete the message."""
        receives, receipt = _receives(record), record["receiptHandle"]
        job = msgspec.json.decode(record["body"], type=Job)
        delivery = Delivery(job, receives, last=receives >= max_receives, deadline=deadline)
        match await batch.work(delivery):
            case Result() as result:
                reports.append(Report(job, result))
            case Continuation(job=continuation):
                await asyncio.to_thread(queue.send, [continuation])
            case RetryLater(pause=pause) as later:
                reports.append(later.report)
                leased.discard(receipt)
                await asyncio.to_thread(queue.set_visibility, [receipt], pause)
                return False
        return True

    async def try_to_work(record: dict[str, Any]) -> bool:
        try:
            return await work(record)
        except Exception as error:  # whatever it is, it concerns this message alone
            extra = {"message_id": record["messageId"], "error": str(error)}
            environment.logger.exception("message cannot be handled", extra=extra)
            return False

    with environment.in_background(lease(leased)):
        done = environment.run(run_all(map(try_to_work, records)))
    try:
        environment.run(inbox.record(environment.mirror.storage, reports))
    except FrumiousError as error:  # nobody knows what was done: all of it is delivered again
        return return_batch(event, error)
    environment.report(**job_counts(report.result for report in reports))
    return _failures(record for record, is_done in zip(records, done, strict=True) if not is_done)


def return_batch(event: dict[str, Any], error: FrumiousError) -> dict[str, Any]:
    """Let the queue deliver the whole batch again: after a pause, not after its own timeout."""
    environment.logger.error("batch is returned", extra={"error": str(error)})
    environment.report()
    records = event["Records"]
    receipts = [record["receiptHandle"] for record in records]
    queue.set_visibility(receipts, retry_pause(max(map(_receives, records))))
    return _failures(records)


def _receives(record: dict[str, Any]) -> int:
    """Return how often a message was delivered."""
    return int(record["attributes"]["ApproximateReceiveCount"])


def _failures(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the response after which the queue delivers these messages again."""
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in records]}


async def lease(receipts: set[str]) -> None:
    """Keep messages invisible to other workers for as long as this process lives.

    When it is cancelled it waits for a call that is under way: no call of one invocation is made
    in the next.
    """
    loop = asyncio.get_running_loop()
    while True:
        call = loop.run_in_executor(
            heartbeat, queue.extend_visibility, sorted(receipts), LEASE_SECONDS
        )
        try:
            await asyncio.shield(call)
        except asyncio.CancelledError:
            await asyncio.wait([call], timeout=MAX_CALL_SECONDS)
            raise
        await asyncio.sleep(LEASE_SECONDS / 3)
