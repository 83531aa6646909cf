"""What every one of the functions sets up before its first event, and keeps."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from frumious import config
from frumious.engine.mirror import open_mirror
from frumious.queue import JobQueue

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


class Environment:
    """One event loop, one upstream session and one S3 client, for as long as Lambda keeps them.

    Named `frumious`, the logger also shapes what the mirror itself logs.
    """

    def __init__(self) -> None:
        self.logger = Logger(service="frumious")
        self.metrics = Metrics()
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)  # where Powertools' batch processor looks for it
        settings = config.load(Path(os.environ["FRUMIOUS_CONFIG"]), os.environ)
        for warning in settings.warnings:
            self.logger.warning(warning)
        self._open = AsyncExitStack()
        self.mirror = self.run(self._open.enter_async_context(open_mirror(settings)))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do asynchronous work on the environment's loop."""
        return self._loop.run_until_complete(work)

    def queue(self) -> JobQueue:
        """Return the queue of jobs."""
        return JobQueue(os.environ["FRUMIOUS_QUEUE_URL"])

    def count(self, **counts: int) -> None:
        """Add metrics of the invocation, and how many requests it made."""
        counts["UpstreamRequests"] = self.mirror.upstream.take_requests()
        counts["StorageRequests"] = self.mirror.storage.take_requests()
        for name, value in counts.items():
            self.metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
