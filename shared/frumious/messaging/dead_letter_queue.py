"""The jobs that nobody finished: an SQS queue of messages that were received too often.

A job that fails leaves a result. What ends here had none at its last receive, because the worker
crashed, ran out of memory or was killed.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from frumious.messaging.job_queue import QueueUnavailable
from frumious.model.jobs import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import BatchResultErrorEntryTypeDef, MessageTypeDef

logger = logging.getLogger(__name__)

_AT_ONCE = 10  # messages that one call takes or gives
_SEEN_AT_ONCE = 200  # messages that one peek shows
_HELD = 120  # seconds that a message is kept from others; within them it can be forgotten


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job whose message is dead, and the receipt to forget the message by."""

    job: Job
    receipt: str


class DeadLetterQueue:
    """The queue at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: SQSClient = boto3.client("sqs")

    def receive(self) -> Sequence[DeadLetter]:
        """Return the dead jobs, or the first of them; their messages stay where they are.

        They are kept from others for two minutes, or until they are released.

        Raises:
            QueueUnavailable: the queue did not answer.
        """
        found: list[DeadLetter] = []
        strange: list[str] = []
        while len(found) + len(strange) < _SEEN_AT_ONCE and (messages := self._receive()):
            for message in messages:
                try:
                    job = Job.from_json(json.loads(message["Body"]))
                except (KeyError, TypeError, ValueError):
                    logger.warning("a dead letter is no job", extra={"body": message["Body"][:200]})
                    strange.append(message["ReceiptHandle"])
                else:
                    found.append(DeadLetter(job, message["ReceiptHandle"]))
        self.return_to_queue(strange)
        return found

    def delete(self, receipts: Iterable[str]) -> None:
        """Delete messages; one that somebody else has received meanwhile stays."""

        def delete(some: Sequence[str]) -> Sequence[BatchResultErrorEntryTypeDef]:
            return self._client.delete_message_batch(
                QueueUrl=self._url,
                Entries=[{"Id": str(n), "ReceiptHandle": one} for n, one in enumerate(some)],
            ).get("Failed", ())

        _in_tens(delete, receipts, "forgotten")

    def return_to_queue(self, receipts: Iterable[str]) -> None:
        """Let others have messages at once, such as who sends them back from the console."""

        def let_go(some: Sequence[str]) -> Sequence[BatchResultErrorEntryTypeDef]:
            return self._client.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(n), "ReceiptHandle": one, "VisibilityTimeout": 0}
                    for n, one in enumerate(some)
                ],
            ).get("Failed", ())

        _in_tens(let_go, receipts, "released")

    def _receive(self) -> Sequence[MessageTypeDef]:
        try:
            return self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=_AT_ONCE,
                VisibilityTimeout=_HELD,
                WaitTimeSeconds=0,
            ).get("Messages", ())
        except (ClientError, BotoCoreError) as error:
            msg = f"the queue of dead letters {self._url!r} gave nothing: {error}"
            raise QueueUnavailable(msg) from error


def _in_tens(
    ask: Callable[[Sequence[str]], Sequence[BatchResultErrorEntryTypeDef]],
    receipts: Iterable[str],
    what: str,
) -> None:
    """Do it ten at a time; what fails is told, and comes right by itself: it is seen again."""
    coming = iter(receipts)
    while some := list(islice(coming, _AT_ONCE)):
        try:
            failed = [entry.get("Message", entry["Code"]) for entry in ask(some)]
        except (ClientError, BotoCoreError) as error:
            failed = [str(error)] * len(some)
        if failed:
            extra = {"messages": len(failed), "error": failed[0]}
            logger.warning("dead letters could not be %s", what, extra=extra)
