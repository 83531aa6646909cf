"""The dead-letter queue: list and redrive its messages, as the AWS console does.

Moto has no redrive tasks, so messages are moved one by one.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from localcloud.stack import Queue

VISIBILITY_TIMEOUT = 60  # seconds


class DeadLetterQueue:
    """The dead-letter queue of `source`."""

    def __init__(self, queue: Queue, source: Queue, sqs: SQSClient) -> None:
        self._queue = queue
        self._source = source
        self._sqs = sqs

    def bodies(self) -> list[Any]:
        """Return the bodies of the visible messages, and leave them visible."""
        messages = list(self._receive())
        for message in messages:
            self._sqs.change_message_visibility(
                QueueUrl=self._queue.url,
                ReceiptHandle=message["ReceiptHandle"],
                VisibilityTimeout=0,
            )
        return [json.loads(message["Body"]) for message in messages]

    def redrive(self) -> int:
        """Move the visible messages back to the source queue; return how many."""
        moved = 0
        for message in self._receive():
            self._sqs.send_message(
                QueueUrl=self._source.url,
                MessageBody=message["Body"],
                MessageGroupId=message["Attributes"]["MessageGroupId"],
                MessageDeduplicationId=uuid.uuid4().hex,
            )
            self._sqs.delete_message(
                QueueUrl=self._queue.url, ReceiptHandle=message["ReceiptHandle"]
            )
            moved += 1
        return moved

    def _receive(self) -> Iterator[MessageTypeDef]:
        while messages := self._sqs.receive_message(
            QueueUrl=self._queue.url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=VISIBILITY_TIMEOUT,
            MessageSystemAttributeNames=["All"],
        ).get("Messages"):
            yield from messages
