"""Lambda's SQS event source: delivers a queue's messages to a function in batches.

Order, redelivery and visibility are up to the queue. This module converts messages to events, and
deletes the messages that the function processed.
"""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcloud.metrics import Metric
from localcloud.runtime_api import FunctionFailed
from localcloud.stack import REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from localcloud.environment import WarmFunction
    from localcloud.metrics import Metrics
    from localcloud.stack import Queue, QueueSource

POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class PumpResult:
    """Counts of a pump: delivered batches, successful and failed deliveries, remaining messages.

    A message that is delivered repeatedly can fail repeatedly.
    """

    batches: int
    succeeded: int
    failed: int
    remaining: int


class Pump:
    """Delivers the messages of one queue to one function."""

    def __init__(
        self,
        source: QueueSource,
        function: WarmFunction,
        sqs: SQSClient,
        queue: Queue,
        metrics: Metrics,
    ) -> None:
        self._source = source
        self._function = function
        self._sqs = sqs
        self._queue_url = queue.url
        self._metrics = metrics
        self._age = Metric.of("AWS/SQS", "ApproximateAgeOfOldestMessage", QueueName=queue.name)

    def run(
        self, *, environments: int, wait_seconds: float, give_up: Callable[[], bool]
    ) -> PumpResult:
        """Deliver messages until the queue has no visible ones.

        Args:
            environments: Maximum number of concurrent invocations, within the source's limit.
            wait_seconds: How long to wait in total for invisible messages to become visible.
            give_up: Called ten times a second; when it returns True, running invocations are
                killed.
        """
        environments = min(environments, self._source.max_concurrency)
        running: set[Future[tuple[int, int]]] = set()
        done: list[tuple[int, int]] = []
        with ThreadPoolExecutor(environments) as executor:
            try:
                while not give_up():
                    if len(running) < environments and (messages := self._receive()):
                        running.add(executor.submit(self._deliver, messages))
                    elif running:
                        ended, running = wait(running, POLL_SECONDS, FIRST_COMPLETED)
                        done += [future.result() for future in ended]
                    elif wait_seconds > 0 and self._remaining():
                        time.sleep(POLL_SECONDS)
                        wait_seconds -= POLL_SECONDS
                    else:
                        break
            finally:
                if running:
                    self._function.stop()
        done += [future.result() for future in running]
        succeeded = sum(count for count, _ in done)
        failed = sum(count for _, count in done)
        return PumpResult(len(done), succeeded, failed, self._remaining())

    def _receive(self) -> list[MessageTypeDef]:
        response = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=self._source.batch_size,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
            WaitTimeSeconds=0,
        )
        return response.get("Messages", [])

    def _deliver(self, messages: list[MessageTypeDef]) -> tuple[int, int]:
        """Invoke the function with a batch; return the numbers of successes and failures."""
        oldest = min(int(message["Attributes"]["SentTimestamp"]) for message in messages)
        self._metrics.add(self._age, max(0, self._metrics.now() - oldest / 1000))
        event = {"Records": [self._record(message) for message in messages]}
        try:
            response = self._function.invoke(event)
        except FunctionFailed:
            failed = {message["MessageId"] for message in messages}
        else:
            failed = self._failed(response, {message["MessageId"] for message in messages})
        succeeded = [message for message in messages if message["MessageId"] not in failed]
        for message in succeeded:
            self._sqs.delete_message(
                QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"]
            )
        return len(succeeded), len(messages) - len(succeeded)

    def _record(self, message: MessageTypeDef) -> dict[str, Any]:
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": {
                name: {"stringValue": value["StringValue"], "dataType": value["DataType"]}
                for name, value in message.get("MessageAttributes", {}).items()
            },
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self._source.queue_arn,
            "awsRegion": REGION,
        }

    def _failed(self, response: Any, delivered: Collection[str]) -> set[str]:
        """Parse a partial batch response like Lambda: if it is invalid, all messages failed."""
        if not self._source.reports_item_failures or not response:
            return set()
        failures = response.get("batchItemFailures") if isinstance(response, dict) else None
        if failures is None:
            return set()
        try:
            failed = {failure["itemIdentifier"] for failure in failures}
        except (TypeError, KeyError):
            return set(delivered)
        unknown = failed - set(delivered)
        return set(delivered) if unknown else failed

    def _remaining(self) -> int:
        response = self._sqs.get_queue_attributes(
            QueueUrl=self._queue_url,
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
            ],
        )
        return sum(int(count) for count in response["Attributes"].values())
