"""Lambda: jobs from the queue bring their projects in step with upstream, several at once."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import AsyncBatchProcessor, EventType

from frumious.engine.record import record_results
from frumious.engine.work import Batch, Continued, Delivery, PutOff, counts
from frumious.errors import Retryable
from frumious.model import Job, Result
from frumious_lambda import Environment

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
        return put_off_all(event, error)
    deadline = environment.deadline(context)
    held = {record["receiptHandle"] for record in event["Records"]}
    put_offs: list[tuple[Job, Result]] = []

    async def work(record: SQSRecord) -> tuple[Job, Result] | None:
        receives = int(record.attributes.approximate_receive_count)
        job = Job.from_json(json.loads(record.body))
        delivery = Delivery(job, receives, last=receives >= max_receives, deadline=deadline)
        try:
            return job, await batch.work(delivery)
        except Continued as continued:
            await asyncio.to_thread(queue.send, [continued.job])
            return None
        except PutOff as put_off:
            put_offs.append((job, put_off.result))
            held.discard(record.receipt_handle)
            await asyncio.to_thread(queue.postpone, record.receipt_handle, put_off.pause)
            raise

    with environment.meanwhile(hold(held)), processor(records=event["Records"], handler=work):
        outcomes = processor.async_process()
    done = [done for kind, done, _ in outcomes if kind == "success" and done is not None]
    try:
        environment.run(record_results([*done, *put_offs], environment.mirror))
    except Retryable as error:  # nobody knows what was done: all of it comes again
        return put_off_all(event, error)
    environment.count(**counts(result for _, result in done))
    return dict(processor.response())


def put_off_all(event: dict[str, Any], error: Retryable) -> dict[str, Any]:
    """Let the whole batch come again."""
    environment.logger.warning("batch put off", extra={"error": str(error)})
    environment.count()
    return {"batchItemFailures": [{"itemIdentifier": one["messageId"]} for one in event["Records"]]}


async def hold(receipts: set[str]) -> None:
    """Keep messages from others for as long as this process lives."""
    while True:
        await asyncio.to_thread(queue.hold, sorted(receipts), SECONDS_HELD)
        await asyncio.sleep(SECONDS_HELD / 3)
