"""The local stack as one object that is started and stopped."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config

from localcloud.alarms import State
from localcloud.dead_letters import DeadLetterQueue
from localcloud.distribution import DistributionServer
from localcloud.environment import CHECKOUT, Runtime, WarmFunction
from localcloud.event_source import Pump, PumpResult
from localcloud.invoke_api import InvokeApi
from localcloud.key_value_store import KeyValueStoreServer
from localcloud.logs import LogLine, Logs
from localcloud.metrics import Metric, Metrics
from localcloud.moto_server import MotoServer
from localcloud.runtime_api import FunctionFailed
from localcloud.stack import REGION, Queue, QueueSource, Schedule
from localcloud.stack_reader import read_stack
from localcloud.state import load_bucket, save_bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sqs.client import SQSClient


def show_errors(line: LogLine) -> None:
    """Print crashes and errors to standard error."""
    if line.fields is None or line.fields.get("level") in {"ERROR", "CRITICAL"}:
        line.show()


class LocalCloud:
    """A context manager that runs the template's stack on top of moto.

    Args:
        template: The template, or the one that `sam build` writes. Code folders are relative to
            its folder.
        parameters: Values that replace the defaults of the template's parameters.
        runtime: The runtime of the functions.
        concurrency: How many executions the account allows at the same time.
        on_line: Called for every line that a function prints, in the thread that runs it.
    """

    def __init__(
        self,
        template: Path = CHECKOUT / "template.yaml",
        *,
        parameters: Mapping[str, str] | None = None,
        runtime: Runtime | None = None,
        concurrency: int = 1000,
        on_line: Callable[[LogLine], None] = show_errors,
    ) -> None:
        self.metrics = Metrics()
        self.logs = Logs(on_line, self.metrics)
        with ExitStack() as stack:
            moto = MotoServer()
            stack.callback(moto.stop)
            self._moto = moto
            self.endpoint = moto.endpoint
            self.s3: S3Client = self._client("s3")
            self.sqs: SQSClient = self._client("sqs")
            self.stack = read_stack(template, endpoint=self.endpoint, parameters=parameters or {})
            self.s3.create_bucket(Bucket=self.stack.bucket)
            self._create_queues()
            runtime = runtime or Runtime()
            invoke_api = InvokeApi()
            stack.callback(invoke_api.stop)
            variables = {
                "AWS_ENDPOINT_URL": self.endpoint,
                "AWS_ENDPOINT_URL_LAMBDA": invoke_api.url,
                **runtime.environment,
            }
            runtime = replace(runtime, environment=variables)
            quota = threading.Semaphore(concurrency)
            self._functions: dict[str, WarmFunction] = {}
            for id_, function in self.stack.functions.items():
                on_output = partial(self.logs.add, id_)
                warm = WarmFunction(function, runtime, on_output, self.metrics, quota)
                self._functions[id_] = invoke_api.functions[function.name] = warm
                stack.callback(warm.stop)
            self.key_value_store = KeyValueStoreServer()
            stack.callback(self.key_value_store.stop)
            self._distribution = DistributionServer(
                self.stack.distribution, self.s3, self.metrics, self.key_value_store.values
            )
            stack.callback(self._distribution.stop)
            self._alarm_states = dict.fromkeys(self.stack.alarms, State.INSUFFICIENT_DATA)
            self._cleanup = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The distribution's URL; the index is at `<url>/simple/`."""
        return self._distribution.url

    @property
    def bucket(self) -> str:
        return self.stack.bucket

    def stop(self) -> None:
        """Stop everything; the bucket's content is lost."""
        self._cleanup.close()

    def stop_functions(self) -> None:
        """Stop all execution environments; the next invocation is a cold start."""
        for function in self._functions.values():
            function.stop()

    def invoke(self, function: str, event: Any) -> Any:
        """Invoke a function by its logical id, and return its response.

        Raises:
            FunctionFailed: the handler raised, crashed or timed out.
        """
        return self._functions[function].invoke(event)

    def tick(self, function: str) -> Any:
        """Invoke a function like its schedule does.

        Raises:
            FunctionFailed: the invocation failed, or the schedule's role does not allow it.
        """
        schedules = [s for s in self.stack.schedules if s.function == function]
        if len(schedules) != 1:
            msg = f"{function!r} has {len(schedules)} schedules"
            raise LookupError(msg)
        return self._tick(schedules[0])

    def alarm_states(self) -> Mapping[str, State]:
        """Evaluate the alarms of the template now; return their states by logical id."""
        for queue in self.stack.queues.values():
            counts = self.sqs.get_queue_attributes(
                QueueUrl=queue.url, AttributeNames=["ApproximateNumberOfMessages"]
            )["Attributes"]
            name = "ApproximateNumberOfMessagesVisible"
            metric = Metric.of("AWS/SQS", name, QueueName=queue.name)
            self.metrics.add(metric, int(counts["ApproximateNumberOfMessages"]))
        self._alarm_states = {
            id_: alarm.evaluate(self.metrics, self._alarm_states[id_])
            for id_, alarm in self.stack.alarms.items()
        }
        return self._alarm_states

    def pump(
        self,
        *,
        environments: int = 2,
        wait_seconds: float = 0,
        give_up: Callable[[], bool] = lambda: False,
    ) -> PumpResult:
        """Deliver the queue's messages; see `Pump.run`."""
        (source,) = self.stack.queue_sources
        queue = self._queue_of(source)
        function = self._functions[source.function]
        pump = Pump(source, function, self.sqs, queue, self.metrics)
        return pump.run(environments=environments, wait_seconds=wait_seconds, give_up=give_up)

    def dead_letters(self) -> list[Any]:
        """Return the bodies of the visible messages in the dead-letter queue."""
        return self._dead_letter_queue().bodies()

    def redrive(self) -> int:
        """Move these messages back to the queue; return how many."""
        return self._dead_letter_queue().redrive()

    def run(self, stop: threading.Event) -> None:
        """Invoke functions by their schedules and deliver messages until `stop` is set."""

        def tick(schedule: Schedule) -> None:
            while not stop.is_set():
                with suppress(FunctionFailed):  # was logged; the next tick is a retry
                    self._tick(schedule)
                stop.wait(schedule.seconds)

        with ThreadPoolExecutor(len(self.stack.schedules) or 1) as executor:
            for schedule in self.stack.schedules:
                executor.submit(tick, schedule)
            try:
                while not stop.wait(1):
                    self.pump(give_up=stop.is_set)
            finally:
                stop.set()
                self.stop_functions()

    def save(self, folder: Path) -> None:
        """Save the bucket to a folder."""
        save_bucket(self.s3, self.bucket, folder)

    def load(self, folder: Path) -> None:
        """Load the bucket from a folder, if one was saved."""
        load_bucket(self.s3, self.bucket, folder)

    def _tick(self, schedule: Schedule) -> Any:
        if not schedule.allowed:
            group = schedule.group
            metric = Metric.of("AWS/Scheduler", "InvocationDroppedCount", ScheduleGroup=group)
            self.metrics.add(metric, 1)
            msg = f"the schedule's role may not invoke {schedule.function}"
            kind = "AccessDeniedException"
            raise FunctionFailed(kind, msg)
        return self.invoke(schedule.function, schedule.input)

    def _queue_of(self, source: QueueSource) -> Queue:
        return next(q for q in self.stack.queues.values() if q.arn == source.queue_arn)

    def _dead_letter_queue(self) -> DeadLetterQueue:
        (source,) = self.stack.queue_sources
        queue = self._queue_of(source)
        arn = json.loads(queue.attributes["RedrivePolicy"])["deadLetterTargetArn"]
        (dead_letter_queue,) = (q for q in self.stack.queues.values() if q.arn == arn)
        return DeadLetterQueue(dead_letter_queue, queue, self.sqs)

    def _create_queues(self) -> None:
        # A dead-letter queue must exist before the redrive policy that names it.
        queues = sorted(self.stack.queues.values(), key=lambda q: "RedrivePolicy" in q.attributes)
        for queue in queues:
            attributes: Any = dict(queue.attributes)
            url = self.sqs.create_queue(QueueName=queue.name, Attributes=attributes)["QueueUrl"]
            if url != queue.url:
                msg = f"moto created the queue {url!r}, expected {queue.url!r}"
                raise RuntimeError(msg)

    def _client(self, service: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 (moto accepts any)
            config=Config(
                max_pool_connections=50,
                proxies={},  # not the environment's: moto is on loopback
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": "path"},
                signature_version="v4" if service == "sqs" else "s3v4",
            ),
        )
