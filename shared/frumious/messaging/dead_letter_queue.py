"""Jobs that were delivered too often: an SQS dead-letter queue.

A job that fails leaves a result. The last delivery of these left none, because the worker crashed,
ran out of memory or was killed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from frumious.aws import open_client
from frumious.messaging.batches import BATCH_SIZE, batches_of
from frumious.messaging.job_queue import CLIENT_CONFIG, QueueUnavailable
from frumious.model.jobs import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

logger = logging.getLogger(__name__)

_MAX_RECEIVED = 200  # messages
_VISIBILITY_SECONDS = 120  # that a message is kept from others; within them it can be deleted


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job, and the receipt to delete its message by."""

    job: Job
    receipt: str


class DeadLetterQueue:
    """The queue at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: SQSClient = open_client("sqs", CLIENT_CONFIG)

    def receive(self) -> Sequence[DeadLetter]:
        """Return the jobs, or the first 200 of them; their messages stay on the queue.

        They are invisible to others for two minutes, or until they are returned.

        Raises:
            QueueUnavailable: the queue did not answer.
        """
        letters: list[DeadLetter] = []
        unknown: list[str] = []
        while len(letters) + len(unknown) < _MAX_RECEIVED and (messages := self._receive()):
            for message in messages:
                try:
                    job = msgspec.json.decode(message["Body"], type=Job)
                except msgspec.DecodeError:
                    extra = {"body": message["Body"][:200]}
                    logger.warning("a dead letter is not a job", extra=extra)
                    unknown.append(message["ReceiptHandle"])
                else:
                    letters.append(DeadLetter(job, message["ReceiptHandle"]))
        self.return_to_queue(unknown)
        return letters

    def delete(self, receipts: Iterable[str]) -> None:
        """Delete messages; one that somebody else has received since stays."""
        self._change("delete", self._client.delete_message_batch, receipts)

    def return_to_queue(self, receipts: Iterable[str]) -> None:
        """Make messages visible to others at once, such as to the console's redrive."""
        call = self._client.change_message_visibility_batch
        self._change("return", call, receipts, VisibilityTimeout=0)

    def _receive(self) -> Sequence[MessageTypeDef]:
        try:
            return self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=BATCH_SIZE,
                VisibilityTimeout=_VISIBILITY_SECONDS,
                WaitTimeSeconds=0,
            ).get("Messages", ())
        except (ClientError, BotoCoreError) as error:
            msg = f"the dead-letter queue {self._url!r} did not answer: {error}"
            raise QueueUnavailable(msg) from error

    def _change(
        self, verb: str, call: Callable[..., Any], receipts: Iterable[str], **options: int
    ) -> None:
        """Make batch calls; a failure is logged, and the next tick makes up for it."""
        for batch in batches_of(receipts):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt, **options}
                for number, receipt in enumerate(batch)
            ]
            try:
                failed = call(QueueUrl=self._url, Entries=entries).get("Failed", ())
            except (ClientError, BotoCoreError) as error:
                logger.warning("cannot %s dead letters", verb, extra={"error": str(error)})
                continue
            if failed:
                reason = failed[0].get("Message", failed[0]["Code"])
                extra = {"messages": len(failed), "error": reason}
                logger.warning("cannot %s dead letters", verb, extra=extra)
