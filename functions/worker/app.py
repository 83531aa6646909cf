"""Lambda: jobs from the queue bring their projects in step with upstream, several at once."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import AsyncBatchProcessor, EventType

from frumious.errors import Retryable
from frumious.model.jobs import Job, Result
from frumious.state.results import record_results
from frumious.syncing.delivery import Batch, Continuation, Delivery, RetryLater, counts
from frumious_lambda.environment import Environment

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

# The queue's own timeout has to outlast the function's. Held for a short time again and again
# instead, what a worker had when it crashed comes back before it is missed.
SECONDS_HELD = 120

environment = Environment()
queue = environment.queue()
max_receives = int(os.environ["FRUMIOUS_MAX_RECEIVES"])
processor = AsyncBatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


@environment.logger.inject_lambda_context
@environment.metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Work on a batch; answers with the messages that are to come again."""
    try:
        batch = environment.run(Batch.begin(environment.mirror))
    except Retryable as error:  # nothing was begun
        return return_batch(event, error)
    deadline = environment.deadline(context)
    held = {record["receiptHandle"] for record in event["Records"]}
    retried_later: list[tuple[Job, Result]] = []

    async def work(record: SQSRecord) -> tuple[Job, Result] | None:
        receives = int(record.attributes.approximate_receive_count)
        job = Job.from_json(json.loads(record.body))
        delivery = Delivery(job, receives, last=receives >= max_receives, deadline=deadline)
        try:
            return job, await batch.work(delivery)
        except Continuation as continued:
            await asyncio.to_thread(queue.send, [continued.job])
            return None
        except RetryLater as retry_later:
            retried_later.append((job, retry_later.result))
            held.discard(record.receipt_handle)
            await asyncio.to_thread(queue.set_visibility, record.receipt_handle, retry_later.pause)
            raise

    with environment.in_background(hold(held)), processor(records=event["Records"], handler=work):
        outcomes = processor.async_process()
    done = [done for kind, done, _ in outcomes if kind == "success" and done is not None]
    try:
        environment.run(record_results([*done, *retried_later], environment.mirror))
    except Retryable as error:  # nobody knows what was done: all of it comes again
        return return_batch(event, error)
    environment.count(**counts(result for _, result in done))
    return dict(processor.response())


def return_batch(event: dict[str, Any], error: Retryable) -> dict[str, Any]:
    """Let the whole batch come again."""
    environment.logger.warning("batch put off", extra={"error": str(error)})
    environment.count()
    return {"batchItemFailures": [{"itemIdentifier": one["messageId"]} for one in event["Records"]]}


async def hold(receipts: set[str]) -> None:
    """Keep messages from others for as long as this process lives."""
    while True:
        await asyncio.to_thread(queue.extend_visibility, sorted(receipts), SECONDS_HELD)
        await asyncio.sleep(SECONDS_HELD / 3)
