"""Lambda: jobs from the queue bring their projects in step with upstream, several at once."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
from aws_lambda_powertools.utilities.batch import AsyncBatchProcessor, EventType

from frumious.errors import FrumiousError
from frumious.model.jobs import Job, Report, Result, job_counts
from frumious.state import inbox
from frumious.syncing.delivery import Batch, Continuation, Delivery, RetryLater, retry_pause
from frumious_lambda.environment import Environment

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

# The queue's own visibility timeout outlasts the function's. Leased for a short time again and
# again instead, what a worker had when it crashed comes back soon.
LEASE_SECONDS = 120
MAX_CALL_SECONDS = 5

environment = Environment()
queue = environment.queue()
max_receives = int(os.environ["FRUMIOUS_MAX_RECEIVES"])
processor = AsyncBatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
heartbeat = ThreadPoolExecutor(1)  # its own, so that it never waits for the storage's calls


class NotDone(Exception):
    """Makes the batch processor report a message as failed: the queue delivers it again."""


@environment.logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Work on a batch; return the messages that the queue is to deliver again."""
    try:
        environment.refresh(keep_last=True)
        batch = environment.run(Batch.begin(environment.mirror))
    except FrumiousError as error:
        return return_batch(event, error)
    deadline = environment.deadline(context)
    leased = {record["receiptHandle"] for record in event["Records"]}
    reports: list[Report] = []

    async def work(record: SQSRecord) -> None:
        receives = int(record.attributes.approximate_receive_count)
        job = msgspec.json.decode(record.body, type=Job)
        delivery = Delivery(job, receives, last=receives >= max_receives, deadline=deadline)
        match await batch.work(delivery):
            case Result() as result:
                reports.append(Report(job, result))
            case Continuation(job=continuation):
                await asyncio.to_thread(queue.send, [continuation])
            case RetryLater(pause=pause) as later:
                reports.append(later.report)
                leased.discard(record.receipt_handle)
                await asyncio.to_thread(queue.set_visibility, [record.receipt_handle], pause)
                raise NotDone(later.reason)

    with environment.in_background(lease(leased)), processor(event["Records"], work):
        processor.async_process()
    try:
        environment.run(inbox.record(environment.mirror.storage, reports))
    except FrumiousError as error:  # nobody knows what was done: all of it is delivered again
        return return_batch(event, error)
    environment.report(**job_counts(report.result for report in reports))
    return dict(processor.response())


def return_batch(event: dict[str, Any], error: FrumiousError) -> dict[str, Any]:
    """Let the queue deliver the whole batch again: after a pause, not after its own timeout."""
    environment.logger.error("batch is returned", extra={"error": str(error)})
    environment.report()
    records = event["Records"]
    receives = max(int(record["attributes"]["ApproximateReceiveCount"]) for record in records)
    receipts = [record["receiptHandle"] for record in records]
    queue.set_visibility(receipts, retry_pause(receives))
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
