"""Lambda: jobs from the queue bring their projects in step with upstream, several at once."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import frumious_lambda.cold_start  # noqa: F401 (before the others)
from frumious.errors import FrumiousError
from frumious.messaging.job_queue import JobQueue
from frumious.model.jobs import job_counts
from frumious_lambda.environment import Environment
from frumious_lambda.worker import Message, return_to_queue, work_on

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
    ids = {_message(record): record["messageId"] for record in event["Records"]}
    messages = [*ids]
    leased = {message.receipt for message in messages}
    deadline = environment.deadline(context)
    try:
        environment.refresh(keep_last=True)
        work = work_on(
            messages,
            environment.mirror,
            queue,
            leased,
            max_receives=max_receives,
            deadline=deadline,
        )
        with environment.in_background(lease(leased)):
            worked = environment.run(work)
    except FrumiousError as error:
        environment.logger.error("batch is returned", extra={"error": str(error)})  # noqa: TRY400
        environment.report()
        return_to_queue(messages, queue)
        return _failures(ids.values())
    for message, cause in worked.errors:
        extra = {"message_id": ids[message], "error": str(cause)}
        environment.logger.error("message cannot be handled", extra=extra, exc_info=cause)
    environment.report(**job_counts(report.result for report in worked.reports))
    return _failures(ids[message] for message in messages if message in worked.kept)


def _message(record: dict[str, Any]) -> Message:
    receives = int(record["attributes"]["ApproximateReceiveCount"])
    return Message(record["receiptHandle"], record["body"], receives)


def _failures(ids: Iterable[str]) -> dict[str, Any]:
    """Return the response after which the queue delivers these messages again."""
    return {"batchItemFailures": [{"itemIdentifier": each} for each in ids]}


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
