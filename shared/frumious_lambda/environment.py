"""What every one of the functions sets up before its first event, and keeps."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import BotoCoreError, ClientError

from frumious.config import loading
from frumious.config.choices import SimpleFormat
from frumious.messaging.dead_letter_queue import DeadLetterQueue
from frumious.messaging.event_publisher import EventPublisher
from frumious.messaging.job_queue import JobQueue
from frumious.mirror import open_mirror

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from frumious.config.settings import Config

T = TypeVar("T")

SECONDS_TO_FINISH = 15  # kept for putting away what was cut off, for results and metrics


class Environment:
    """One event loop, one upstream session and one S3 client, for as long as Lambda keeps them.

    Named `frumious`, the logger also shapes what the mirror itself logs.
    """

    def __init__(self) -> None:
        self.logger = Logger(service="frumious")
        self.metrics = Metrics()
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)  # where Powertools' batch processor looks for it
        settings = _configuration(os.environ["FRUMIOUS_CONFIG"])
        for warning in settings.warnings:
            self.logger.warning(warning)
        self._open = AsyncExitStack()
        self.mirror = self.run(self._open.enter_async_context(open_mirror(settings)))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do asynchronous work on the environment's loop."""
        return self._loop.run_until_complete(work)

    @contextmanager
    def in_background(self, work: Coroutine[Any, Any, None]) -> Iterator[None]:
        """Do asynchronous work beside what runs on the loop in the `with` block, and end it."""
        task = self._loop.create_task(work)
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(task)

    def queue(self) -> JobQueue:
        """Return the queue of jobs."""
        return JobQueue(os.environ["FRUMIOUS_QUEUE_URL"])

    def dead_letter_queue(self) -> DeadLetterQueue:
        """Return the queue of jobs that nobody finished."""
        return DeadLetterQueue(os.environ["FRUMIOUS_DEAD_LETTERS_URL"])

    def event_publisher(self) -> EventPublisher | None:
        """Return who tells of what happened; None where nobody is to be told."""
        bus = os.environ["FRUMIOUS_EVENT_BUS"]
        return EventPublisher(bus) if bus else None

    def deadline(self, context: LambdaContext) -> float:
        """Return until when the invocation may work, by `time.monotonic()`."""
        return time.monotonic() + context.get_remaining_time_in_millis() / 1000 - SECONDS_TO_FINISH

    def count(self, **counts: float | None) -> None:
        """Add metrics of the invocation, and how many requests it made; None: not known."""
        counts["UpstreamRequests"] = self.mirror.upstream.pop_request_count()
        counts["StorageRequests"] = self.mirror.storage.pop_request_count()
        for name, value in counts.items():
            if value is not None:
                self.metrics.add_metric(name=name, unit=_unit(name), value=value)


def _unit(metric: str) -> MetricUnit:
    if metric.startswith("Bytes"):
        return MetricUnit.Bytes
    return MetricUnit.Seconds if metric.endswith("Seconds") else MetricUnit.Count


def _configuration(place: str) -> Config:
    """Read mirror.conf: the file at a path, or the object at `s3://bucket/key`.

    Raises:
        ConfigError: it cannot be read, something in it cannot be meant, or is not for a stack.
    """
    if not place.startswith("s3://"):
        return _for_the_stack(loading.load(Path(place), os.environ))
    bucket, _, key = place.removeprefix("s3://").partition("/")
    try:
        answer = boto3.client("s3").get_object(Bucket=bucket, Key=key)
        text = answer["Body"].read().decode("utf-8")
    except (BotoCoreError, ClientError, UnicodeDecodeError) as error:
        msg = (
            f"FRUMIOUS_CONFIG = {place!r} cannot be read: {error};"
            " it is a path or s3://bucket/key, which the function may s3:GetObject"
        )
        raise loading.ConfigError(msg) from error
    return _for_the_stack(loading.parse(text, os.environ, source=place))


def _for_the_stack(settings: Config) -> Config:
    """Return the configuration with the stack's own bucket known for AWS's.

    Pages that the stack's distribution would not find are refused: its edge function knows their
    plain places, and gives installers the JSON that they ask for.
    """
    mistakes = []
    if settings.hash_index:
        mistakes.append("[mirror] hash-index = true: a stack serves pages from their plain places")
    if settings.simple_format is SimpleFormat.HTML:
        mistakes.append("[mirror] simple-format = 'HTML': a stack needs JSON; allowed: ALL, JSON")
    if mistakes:
        msg = "mirror.conf cannot be used in Lambda:\n- " + "\n- ".join(mistakes)
        raise loading.ConfigError(msg)
    # What leads all of boto3 elsewhere is a stand-in for AWS: the bucket need not be tried out.
    return replace(settings, s3=replace(settings.s3, is_aws=settings.s3.endpoint_url is None))
