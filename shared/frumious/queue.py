"""The jobs on their way to the workers: an SQS FIFO queue, grouped by project.

Messages of one project are handed out one after the other, so that no project is ever worked on
twice at the same time.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from frumious.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

    from frumious.model import Job

_SENT_AT_ONCE = 10  # messages that one SendMessageBatch call takes
_LONGEST_GROUP = 128  # characters of a MessageGroupId
LONGEST_PAUSE = 900  # seconds


class QueueUnavailable(Retryable):
    """The queue did not take everything; sending all of it again does no harm."""


class JobQueue:
    """The queue at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: SQSClient = boto3.client("sqs")

    def send(self, jobs: Iterable[Job]) -> int:
        """Put jobs on the queue, and return how many.

        Raises:
            QueueUnavailable: not all of them were taken.
        """
        sent = 0
        waiting: list[SendMessageBatchRequestEntryTypeDef] = []
        for job in jobs:
            waiting.append(_message(job, len(waiting)))
            if len(waiting) == _SENT_AT_ONCE:
                sent += self._send(waiting)
                waiting = []
        return sent + (self._send(waiting) if waiting else 0)

    def postpone(self, receipt: str, seconds: int) -> None:
        """Let a message that was received come back after `seconds`."""
        self._client.change_message_visibility(
            QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=seconds
        )

    def _send(self, messages: list[SendMessageBatchRequestEntryTypeDef]) -> int:
        try:
            answer = self._client.send_message_batch(QueueUrl=self._url, Entries=messages)
        except (ClientError, BotoCoreError) as error:
            msg = f"the queue {self._url!r} took no message: {error}"
            raise QueueUnavailable(msg) from error
        if failed := answer.get("Failed"):
            msg = f"the queue {self._url!r} refused a message: {failed[0].get('Message')}"
            raise QueueUnavailable(msg)
        return len(messages)


def _message(job: Job, number: int) -> SendMessageBatchRequestEntryTypeDef:
    return {
        "Id": str(number),
        "MessageBody": json.dumps(job.to_json()),
        # Names that share their first 128 characters share a group: slower, never wrong.
        "MessageGroupId": job.project[:_LONGEST_GROUP],
        "MessageDeduplicationId": hashlib.sha256(_identity(job).encode()).hexdigest(),
    }


def _identity(job: Job) -> str:
    return f"{job.run} {job.project} {job.part}"
