"""Measure single steps of planner and finalizer, each in a process of its own.

S3 is rclone's server, and the queue an endpoint that accepts all messages; each in another process.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from bench import null_queue, rclone, synthetic
from bench.memory import peak_memory
from frumious.config import loading
from frumious.messaging.job_queue import JobQueue
from frumious.mirror import Mirror, open_mirror

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from multiprocessing.connection import Connection
    from pathlib import Path

    from bench.null_queue import NullQueue
    from bench.synthetic import World
    from frumious.model.runs import Cursor

_BUCKET: Final = "mirror"
_SPACE: Final = 4 * 1024**3  # bytes; results are many small files

Step: TypeAlias = "Callable[[Mirror, JobQueue], Awaitable[int]]"


@dataclass(frozen=True, slots=True)
class Figures:
    """A step's cost, and the number of jobs or runs that it returned."""

    count: int
    cpu: float  # seconds
    seconds: float
    peak: int  # bytes of resident memory
    upstream: int = 0  # requests
    storage: int = 0
    queue: int = 0
    messages: int = 0


@dataclass(frozen=True, slots=True)
class Mirrored:
    """A mirror in a new bucket, with its upstream and its queue."""

    folder: Path
    environment: dict[str, str]
    queue: NullQueue
    conf: str

    def create(self, world: World, cursor: Cursor) -> None:
        """Create the mirror of the world as it was before."""
        synthetic.create_mirror(self.folder, world, loading.parse(self.conf, {}), cursor)

    def measure(self, step: Step) -> Figures:
        """Run a step in a process of its own."""
        spawn = multiprocessing.get_context("spawn")
        ours, theirs = spawn.Pipe()
        arguments = (theirs, self.environment, self.conf, self.queue.url, step)
        process = spawn.Process(target=_measured, args=arguments)
        process.start()
        theirs.close()
        try:
            figures: Figures = ours.recv()
        except EOFError:
            msg = f"the process that measures {step!r} died"
            raise RuntimeError(msg) from None
        finally:
            process.join()
        requests, messages = self.queue.pop_counts()
        return replace(figures, queue=requests, messages=messages)


def _measured(
    pipe: Connection, environment: dict[str, str], conf: str, queue_url: str, step: Step
) -> None:
    os.environ |= environment

    async def work() -> Figures:
        async with open_mirror(loading.parse(conf, {})) as mirror:
            queue = JobQueue(queue_url)
            cpu, started = time.process_time(), time.monotonic()
            count = await step(mirror, queue)
            return Figures(
                count,
                time.process_time() - cpu,
                time.monotonic() - started,
                peak_memory(),
                mirror.upstream.pop_request_count(),
                mirror.storage.pop_request_count(),
            )

    pipe.send(asyncio.run(work()))


@contextmanager
def in_bucket(upstream: str, filters: str = "") -> Iterator[Mirrored]:
    """Create a bucket and a queue for a mirror; `filters` are sections of its configuration."""
    with rclone.serving(_BUCKET, _SPACE) as s3, null_queue.serving() as queue:
        environment = {
            "AWS_ENDPOINT_URL_S3": s3.endpoint,
            "AWS_ENDPOINT_URL_SQS": queue.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            **s3.credentials,
        }
        conf = (
            f"[mirror]\ndirectory = /{_BUCKET}\nstorage-backend = s3\nmaster = {upstream}\n"
            "allow-non-https = true\ndiff-file = {{mirror_directory}}/mirrored-files\n"
            f"{filters}"
        )
        yield Mirrored(s3.bucket, environment, queue, conf)
