"""Jobs on their way to the workers: an SQS FIFO queue, grouped by project.

Messages of one project are delivered one after the other, so that no two workers ever work on the
same project.
"""

from __future__ import annotations

import hashlib
import logging
import math
import random
import time
from typing import TYPE_CHECKING

import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from frumious.aws import open_client
from frumious.errors import Retryable
from frumious.messaging.batches import batches_of, sum_of_calls

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import (
        BatchResultErrorEntryTypeDef,
        ChangeMessageVisibilityBatchRequestEntryTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

    from frumious.model.jobs import Job

logger = logging.getLogger(__name__)

_ATTEMPTS = 3  # for a message that the queue did not take through no fault of the message
_FIRST_PAUSE = 0.1  # seconds; doubled each time
_MAX_GROUP_LENGTH = 128  # characters of a MessageGroupId

CLIENT_CONFIG = Config(
    connect_timeout=5,
    read_timeout=10,
    retries={"mode": "standard", "total_max_attempts": 3},
)


class QueueUnavailable(Retryable):
    """The queue did not take everything; sending all of it again does no harm."""


class JobQueue:
    """The queue at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: SQSClient = open_client("sqs", CLIENT_CONFIG)

    def send(self, jobs: Iterable[Job], *, deadline: float = math.inf) -> int:
        """Put jobs on the queue, and return how many of them, counted from the first.

        The others were not sent before the `deadline` (by `time.monotonic()`). `jobs` is read a
        little ahead, so that it may be any number, from anywhere.

        Raises:
            QueueUnavailable: not all of them were taken.
        """
        batches = batches_of(jobs)

        def next_in_time() -> list[Job] | None:
            return next(batches, None) if time.monotonic() < deadline else None

        return sum_of_calls(self._send, iter(next_in_time, None))

    def set_visibility(self, receipts: Iterable[str], seconds: int) -> None:
        """Deliver up to ten messages that were received again after `seconds`."""
        self._change_visibility(dict.fromkeys(receipts, seconds))

    def extend_visibility(self, receipts: Iterable[str], seconds: int) -> None:
        """Keep up to ten messages that were received invisible for `seconds` or more.

        Each gets another time, up to twice as long: what a worker had when it crashed then comes
        back one by one, and the message it crashed over does not take the others along again.
        """
        self._change_visibility(
            {receipt: random.randint(seconds, 2 * seconds) for receipt in receipts}  # noqa: S311
        )

    def _change_visibility(self, seconds: Mapping[str, int]) -> None:
        entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
            {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": timeout}
            for number, (receipt, timeout) in enumerate(seconds.items())
        ]
        try:
            if entries:
                self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
        except (ClientError, BotoCoreError) as error:  # a job that is done twice does no harm
            logger.warning("cannot change the visibility of messages", extra={"error": str(error)})

    def _send(self, jobs: list[Job]) -> int:
        """Send up to ten jobs; those that were not taken are sent again."""
        waiting = [_message(job, number) for number, job in enumerate(jobs)]
        attempt = 1
        while failed := self._send_once(waiting):
            if attempt == _ATTEMPTS or any(failure["SenderFault"] for failure in failed):
                reason = failed[0].get("Message", failed[0]["Code"])
                msg = f"the queue {self._url!r} refused a message: {reason}"
                raise QueueUnavailable(msg)
            time.sleep(_FIRST_PAUSE * 2 ** (attempt - 1))
            attempt += 1
            refused = {failure["Id"] for failure in failed}
            waiting = [message for message in waiting if message["Id"] in refused]
        return len(jobs)

    def _send_once(
        self, messages: Sequence[SendMessageBatchRequestEntryTypeDef]
    ) -> Sequence[BatchResultErrorEntryTypeDef]:
        try:
            response = self._client.send_message_batch(QueueUrl=self._url, Entries=messages)
        except (ClientError, BotoCoreError) as error:  # botocore has retried it by itself
            msg = f"the queue {self._url!r} took no message: {error}"
            raise QueueUnavailable(msg) from error
        return response.get("Failed", ())


def _message(job: Job, number: int) -> SendMessageBatchRequestEntryTypeDef:
    identity = f"{job.run} {job.project} {job.continuation}"
    return {
        "Id": str(number),
        "MessageBody": msgspec.json.encode(job).decode(),
        # Names that share their first 128 characters share a group: slower, never wrong.
        "MessageGroupId": job.project[:_MAX_GROUP_LENGTH],
        "MessageDeduplicationId": hashlib.sha256(identity.encode()).hexdigest(),
    }
