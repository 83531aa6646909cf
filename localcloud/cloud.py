"""The whole stack on this machine, started and stopped as one thing."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config

from localcloud.dead_letters import DeadLetterQueue
from localcloud.environment import CHECKOUT, Runtime, WarmFunction
from localcloud.event_source import Pump, Pumped
from localcloud.logs import LogLine, Logs
from localcloud.moto_server import MotoServer
from localcloud.reader import Reader
from localcloud.runtime_api import FunctionFailed
from localcloud.stack import REGION, Queue, QueueSource, Schedule
from localcloud.stack_reader import read_stack
from localcloud.state import load_bucket, save_bucket

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sqs.client import SQSClient


def show_what_is_wrong(line: LogLine) -> None:
    """Print crashes and errors to standard error; the rest is kept in `LocalCloud.logs`."""
    if line.fields is None or line.fields.get("level") in {"ERROR", "CRITICAL"}:
        line.show()


class LocalCloud:
    """The template's stack over moto; a context manager.

    Args:
        template: Its folder is where the functions' code folders start. It may be the one that
            `sam build` writes.
        parameters: The template's parameters that shall not have their defaults.
        runtime: What the functions run in.
        on_line: Sees every line that a function prints, in the thread that runs the function.
    """

    def __init__(
        self,
        template: Path = CHECKOUT / "template.yaml",
        *,
        parameters: Mapping[str, str] | None = None,
        runtime: Runtime | None = None,
        on_line: Callable[[LogLine], None] = show_what_is_wrong,
    ) -> None:
        self.logs = Logs(on_line)
        with ExitStack() as starting:
            moto = MotoServer()
            starting.callback(moto.stop)
            self.endpoint = moto.endpoint
            self.s3: S3Client = self._client("s3")
            self.sqs: SQSClient = self._client("sqs")
            self.stack = read_stack(template, endpoint=self.endpoint, parameters=parameters or {})
            self.s3.create_bucket(Bucket=self.stack.bucket)
            self._create_queues()
            runtime = runtime or Runtime()
            variables = {"AWS_ENDPOINT_URL": self.endpoint, **runtime.environment}
            runtime = replace(runtime, environment=variables)
            self._functions: dict[str, WarmFunction] = {}
            for id_, function in self.stack.functions.items():
                warm = WarmFunction(function, runtime, partial(self.logs.take, id_))
                self._functions[id_] = warm
                starting.callback(warm.stop)
            self._reader = Reader(self.stack.distribution, self.s3)
            starting.callback(self._reader.stop)
            self._closing = starting.pop_all()

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
        """The mirror's address for clients; the index is at `<url>/simple/`."""
        return self._reader.url

    @property
    def bucket(self) -> str:
        return self.stack.bucket

    def stop(self) -> None:
        """End everything that was started; the bucket is gone with it."""
        self._closing.close()

    def stop_functions(self) -> None:
        """End all execution environments; the next invocation is a cold start."""
        for function in self._functions.values():
            function.stop()

    def invoke(self, function: str, event: Any) -> Any:
        """Invoke a function, by its logical id, and return its answer.

        Raises:
            FunctionFailed: the handler raised, crashed or timed out.
        """
        return self._functions[function].invoke(event)

    def tick(self, function: str) -> Any:
        """Invoke a function as its schedule does."""
        schedules = [s for s in self.stack.schedules if s.function == function]
        if len(schedules) != 1:
            msg = f"{function!r} has {len(schedules)} schedules"
            raise LookupError(msg)
        return self.invoke(function, schedules[0].input)

    def pump(
        self,
        *,
        environments: int = 2,
        wait_seconds: float = 0,
        give_up: Callable[[], bool] = lambda: False,
    ) -> Pumped:
        """Deliver the queue's messages; see `Pump.run`."""
        (source,) = self.stack.queue_sources
        queue = self._queue_of(source)
        pump = Pump(source, self._functions[source.function], self.sqs, queue.url)
        return pump.run(environments=environments, wait_seconds=wait_seconds, give_up=give_up)

    def dead_letters(self) -> list[Any]:
        """Return what is in the messages that were received too often and are visible."""
        return self._dead_letter_queue().bodies()

    def redrive(self) -> int:
        """Send such messages back to the queue, as the console does; return how many."""
        return self._dead_letter_queue().redrive()

    def run(self, stop: threading.Event) -> None:
        """Tick by the schedules' rates and pump the queue until `stop` is set."""

        def tick(schedule: Schedule) -> None:
            while not stop.is_set():
                with suppress(FunctionFailed):  # its lines have been seen; the next tick comes
                    self.invoke(schedule.function, schedule.input)
                stop.wait(schedule.seconds)

        with ThreadPoolExecutor(len(self.stack.schedules) or 1) as ticking:
            for schedule in self.stack.schedules:
                ticking.submit(tick, schedule)
            try:
                while not stop.wait(1):
                    self.pump(give_up=stop.is_set)
            finally:
                stop.set()
                self.stop_functions()

    def save(self, folder: Path) -> None:
        """Keep the bucket in a folder, for `load`."""
        save_bucket(self.s3, self.bucket, folder)

    def load(self, folder: Path) -> None:
        """Bring back what `save` kept."""
        load_bucket(self.s3, self.bucket, folder)

    def _queue_of(self, source: QueueSource) -> Queue:
        return next(q for q in self.stack.queues.values() if q.arn == source.queue_arn)

    def _dead_letter_queue(self) -> DeadLetterQueue:
        (source,) = self.stack.queue_sources
        queue = self._queue_of(source)
        arn = json.loads(queue.attributes["RedrivePolicy"])["deadLetterTargetArn"]
        (dead,) = (q for q in self.stack.queues.values() if q.arn == arn)
        return DeadLetterQueue(dead, queue, self.sqs)

    def _create_queues(self) -> None:
        # A queue that another one's redrive policy names has to be there first.
        queues = sorted(self.stack.queues.values(), key=lambda q: "RedrivePolicy" in q.attributes)
        for queue in queues:
            answer = self.sqs.create_queue(QueueName=queue.name, Attributes=dict(queue.attributes))  # type: ignore[arg-type]
            if answer["QueueUrl"] != queue.url:
                msg = f"moto made {answer['QueueUrl']!r} where {queue.url!r} was expected"
                raise RuntimeError(msg)

    def _client(self, service: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 (moto takes any)
            config=Config(
                max_pool_connections=50,
                proxies={},  # loopback, whatever the environment says
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": "path"},
                signature_version="v4" if service == "sqs" else "s3v4",
            ),
        )
