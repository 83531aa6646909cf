"""What every function sets up before its first event, and keeps."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from frumious.config.loading import ConfigError
from frumious.garbage import collect_rarely
from frumious.mirror import open_mirror
from frumious.redaction import redact, redact_record
from frumious_lambda.configuration import ConfigurationObject, read_configuration
from frumious_lambda.verifier import open_verifier

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from frumious.config.settings import Config
    from frumious.mirror import Mirror

T = TypeVar("T")

SECONDS_TO_FINISH = 15  # kept for cancelling what is under way, for reports and metrics
# The numbers that alarms and the dashboard need. CloudWatch bills each custom metric by the hours
# in which it has values, so zeros are sent only where an alarm needs them: at each tick for
# LagSeconds, and for _STATES at a process's first tick and after a one. Between their values, the
# alarms on these keep their state.
METRICS = {
    "audits_overdue": "AuditsOverdue",
    "damage_found": "DamageFound",
    "events_lost": "EventsLost",
    "input_problems": "InputProblems",
    "lag_seconds": "LagSeconds",
    "projects_blocked": "ProjectsBlocked",
    "projects_lagging": "ProjectsLagging",
    "runs_stopped": "RunsStopped",
}
_STATES = {"audits_overdue", "damage_found", "input_problems", "runs_stopped"}


class Environment:
    """One event loop, one upstream session and one S3 client, for as long as Lambda keeps them.

    The logger is named `frumious`, so that it also formats what the mirror itself logs.
    """

    def __init__(self) -> None:
        self.logger = Logger(service="frumious", json_serializer=_redacted_json)
        for handler in logging.getLogger().handlers:  # Lambda's own, for the logs of libraries
            handler.addFilter(redact_record)
        self.metrics = Metrics()
        self._states: dict[str, float] = {}  # as they were last sent
        self._loop = asyncio.new_event_loop()
        self._open = AsyncExitStack()
        self._mirror: Mirror | None = None
        location = os.environ["FRUMIOUS_CONFIG"]
        self._object: ConfigurationObject | None = None
        if location.startswith("s3://"):
            self._object = ConfigurationObject(location)
        else:
            self._open_mirror(read_configuration(Path(location)))
        collect_rarely()

    @property
    def mirror(self) -> Mirror:
        """The mirror by the last valid configuration."""
        assert self._mirror is not None  # noqa: S101 (since __init__ or refresh)
        return self._mirror

    @property
    def is_open(self) -> bool:
        """Whether a valid configuration was read."""
        return self._mirror is not None

    def refresh(self, *, keep_last: bool = False) -> None:
        """Follow a configuration in S3; to be called before each use of the mirror.

        With `keep_last`, the last valid configuration stays in use while the object is broken.

        Raises:
            ConfigError: the object cannot be read or used.
        """
        if self._object is None:
            return
        try:
            config = self._object.read()
        except ConfigError as error:
            if not keep_last or self._mirror is None:
                raise
            self.logger.error("the last configuration stays in use", extra={"error": str(error)})  # noqa: TRY400
        else:
            if config is not None:
                self._open_mirror(config)

    def _open_mirror(self, config: Config) -> None:
        for warning in config.warnings:
            self.logger.warning(warning)
        self.run(self._open.aclose())
        mirror = open_mirror(config, open_verifier=open_verifier)
        self._mirror = self.run(self._open.enter_async_context(mirror))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do asynchronous work on the environment's loop."""
        return self._loop.run_until_complete(work)

    @contextmanager
    def in_background(self, work: Coroutine[Any, Any, None]) -> Iterator[None]:
        """Do asynchronous work while the `with` block runs the loop.

        Whatever the block leaves running ends with it: the loop lives on, and the next invocation
        must not meet it.
        """
        self._loop.create_task(work)
        try:
            yield
        finally:
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

    def close(self) -> None:
        """Close the sessions and the loop; Lambda itself never does."""
        self.run(self._open.aclose())
        self._loop.close()

    def deadline(self, context: LambdaContext) -> float:
        """Return until when the invocation may work, by `time.monotonic()`."""
        return time.monotonic() + context.get_remaining_time_in_millis() / 1000 - SECONDS_TO_FINISH

    def report(self, **counts: float | None) -> None:
        """Log what the invocation did and how many requests it made; None: not known.

        docs/cost.md lists the fields of the log line, and those that are metrics as well.
        """
        if self._mirror is not None:
            counts["upstream_requests"] = self._mirror.upstream.pop_request_count()
            counts["storage_requests"] = self._mirror.storage.pop_request_count()
        known = {name: value for name, value in counts.items() if value is not None}
        self.logger.info("invocation finished", extra=known)
        sent = {name: known[name] for name in METRICS.keys() & known.keys()}
        for name, value in sent.items():
            resumed = name in _STATES and self._states.get(name) != value
            if value or name == "lag_seconds" or resumed:
                unit = MetricUnit.Seconds if name == "lag_seconds" else MetricUnit.Count
                self.metrics.add_metric(name=METRICS[name], unit=unit, value=value)
        self._states |= {name: sent[name] for name in _STATES & sent.keys()}
        if self.metrics.metric_set:
            self.metrics.flush_metrics()


def _redacted_json(line: object) -> str:
    return redact(json.dumps(line, default=str, separators=(",", ":")))
