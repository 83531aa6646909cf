"""The jobs on their way to the workers: an SQS FIFO queue, grouped by project.

Messages of one project are handed out one after the other, so that no project is ever worked on
twice at the same time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import random
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from frumious.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Future

    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import (
        BatchResultErrorEntryTypeDef,
        ChangeMessageVisibilityBatchRequestEntryTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

    from frumious.model.jobs import Job

logger = logging.getLogger(__name__)

_SENT_AT_ONCE = 10  # messages that one SendMessageBatch call takes
_SENDERS = 8  # threads; a client may be shared by them
_TRIES = 3  # of a message that the queue did not take through no fault of the message
_FIRST_PAUSE = 0.1  # seconds; doubled each time
_LONGEST_GROUP = 128  # characters of a MessageGroupId
LONGEST_PAUSE = 900  # seconds


class QueueUnavailable(Retryable):
    """The queue did not take everything; sending all of it again does no harm."""


class JobQueue:
    """The queue at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: SQSClient = boto3.client("sqs")

    def send(self, jobs: Iterable[Job], *, deadline: float = math.inf) -> int:
        """Put jobs on the queue, and return how many of them, counted from the first.

        Those that are not among them were not sent before the `deadline` (by `time.monotonic()`).
        Few are looked at ahead, so that `jobs` may come from anywhere and be any number.

        Raises:
            QueueUnavailable: not all of them were taken.
        """
        sent = 0
        coming = iter(jobs)
        under_way: deque[Future[int]] = deque()
        with ThreadPoolExecutor(_SENDERS) as senders:
            while time.monotonic() < deadline and (some := list(islice(coming, _SENT_AT_ONCE))):
                messages = [_message(job, number) for number, job in enumerate(some)]
                under_way.append(senders.submit(self._send, messages))
                if len(under_way) == 2 * _SENDERS:
                    sent += under_way.popleft().result()
            return sent + sum(batch.result() for batch in under_way)

    def set_visibility(self, receipt: str, seconds: int) -> None:
        """Let a message that was received come back after `seconds`."""
        self._client.change_message_visibility(
            QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=seconds
        )

    def extend_visibility(self, receipts: Iterable[str], seconds: int) -> None:
        """Keep up to ten messages that were received from others, from now for `seconds` or more.

        Each is kept for another time, up to twice as long: what a worker held when it crashed then
        comes back apart, and what it crashed over does not take the others along again.
        """
        entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
            {
                "Id": str(number),
                "ReceiptHandle": receipt,
                "VisibilityTimeout": random.randint(seconds, 2 * seconds),  # noqa: S311
            }
            for number, receipt in enumerate(receipts)
        ]
        try:
            if entries:
                self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
        except (ClientError, BotoCoreError) as error:  # a job that is done twice does no harm
            logger.warning("messages could not be held", extra={"error": str(error)})

    def _send(self, messages: list[SendMessageBatchRequestEntryTypeDef]) -> int:
        """Send up to ten messages; those that were not taken are sent again."""
        waiting = messages
        tries = 1
        while failed := self._try(waiting):
            if tries == _TRIES or any(failure["SenderFault"] for failure in failed):
                said = failed[0].get("Message", failed[0]["Code"])
                msg = f"the queue {self._url!r} refused a message: {said}"
                raise QueueUnavailable(msg)
            time.sleep(_FIRST_PAUSE * 2 ** (tries - 1))
            tries += 1
            refused = {failure["Id"] for failure in failed}
            waiting = [message for message in waiting if message["Id"] in refused]
        return len(messages)

    def _try(
        self, messages: Sequence[SendMessageBatchRequestEntryTypeDef]
    ) -> Sequence[BatchResultErrorEntryTypeDef]:
        try:
            answer = self._client.send_message_batch(QueueUrl=self._url, Entries=messages)
        except (ClientError, BotoCoreError) as error:  # botocore has tried it again by itself
            msg = f"the queue {self._url!r} took no message: {error}"
            raise QueueUnavailable(msg) from error
        return answer.get("Failed", ())


def _message(job: Job, number: int) -> SendMessageBatchRequestEntryTypeDef:
    return {
        "Id": str(number),
        "MessageBody": json.dumps(job.to_json()),
        # Names that share their first 128 characters share a group: slower, never wrong.
        "MessageGroupId": job.project[:_LONGEST_GROUP],
        "MessageDeduplicationId": hashlib.sha256(_identity(job).encode()).hexdigest(),
    }


def _identity(job: Job) -> str:
    return f"{job.run} {job.project} {job.continuation}"
