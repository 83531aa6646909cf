"""Measure the memory that the worker needs, above idle, while it streams files.

    python -m bench.stream

Each line is a new worker: its handler, in its own process, through Lambda's Runtime API. Idle is
its memory after one small project. Exits with status 1 if a line exceeds the limit or a file is
incomplete. Needs Linux.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from bench import jobs, large_files, null_queue, rclone
from frumious.model import layout
from localcloud import ExecutionEnvironment
from localcloud.environment import CHECKOUT
from localcloud.stack_reader import read_stack

if TYPE_CHECKING:
    from localcloud.stack import Function

MB = 1000**2
MIB = 1024**2
LIMIT = 64 * MIB  # above idle
TIMEOUT = 100  # seconds for one invocation


@dataclass(frozen=True, slots=True)
class Scenario:
    """A project with a number of files of one size."""

    text: str
    project: str
    files: int
    size: int
    largest_put: int | None = None  # bytes; larger files are multipart uploads

    @property
    def bytes(self) -> int:
        return self.files * self.size


@dataclass(frozen=True, slots=True)
class Measured:
    """An invocation's bytes of resident memory, and seconds."""

    idle: int
    peak: int
    seconds: float
    complete: bool

    @property
    def above_idle(self) -> int:
        return self.peak - self.idle


SMALL = Scenario("one small file", "small", 1, 1000)
SCENARIOS = (
    Scenario("one file of 300 MB", "medium", 1, 300 * MB),
    Scenario("one file of 3 GB", "large", 1, 3000 * MB),
    Scenario("ten files of 300 MB, all at once", "ten", 10, 300 * MB),
    Scenario("sixty files of 15 MB, fifty at once", "sixty", 60, 15 * MB),
    Scenario("one file of 300 MB, in parts", "medium", 1, 300 * MB, largest_put=100 * MB),
)


def main() -> int:
    console = Console(highlight=False)
    console.print("Making the files' hashes ...")
    projects = {each.project: (each.files, each.size) for each in (SMALL, *SCENARIOS)}
    with large_files.serving(projects) as upstream:
        measured = {}
        for scenario in SCENARIOS:
            console.print(f"Streaming {scenario.text} ...")
            measured[scenario] = _measure(scenario, upstream)
    console.print(_table(measured))
    console.print(
        "Resident memory of the worker's process as Linux counts it (VmRSS, VmHWM); the first few"
        " MiB fit into what an idle interpreter holds free. Upstream, the worker and S3 (rclone's"
        " server, which checks signature and sha256) share this machine.",
        style="dim",
    )
    return 0 if all(_is_fine(each) for each in measured.values()) else 1


def _measure(scenario: Scenario, upstream: str) -> Measured:
    worker, bucket = _worker()
    with rclone.serving(bucket, 2 * scenario.bytes) as s3, null_queue.serving() as queue:
        endpoints = {
            "AWS_ENDPOINT_URL": s3.endpoint,  # for all of AWS except the queue
            "AWS_ENDPOINT_URL_SQS": queue.endpoint,
        }
        runtime = jobs.runtime(upstream, **endpoints, **s3.credentials)
        event: dict[str, Any] = jobs.batch([scenario.project])
        first = jobs.batch([SMALL.project])
        path = s3.bucket / layout.CURSOR
        path.parent.mkdir()
        path.write_bytes(jobs.cursor([first, event]))
        environment = ExecutionEnvironment(worker, runtime, _print_errors)
        try:
            environment.invoke(first)
            if scenario.largest_put is not None:
                event["largest_put"] = scenario.largest_put
            figures = environment.invoke(event)
        finally:
            environment.close()
        arrived = sorted(s3.stored()) == [SMALL.size, *[scenario.size] * scenario.files]
    complete = arrived and not figures["response"]["batchItemFailures"]
    return Measured(figures["before"], figures["peak"], figures["seconds"], complete)


def _worker() -> tuple[Function, str]:
    """Return the template's worker, with measurements and a shorter timeout, and its bucket."""
    stack = read_stack(CHECKOUT / "template.yaml", endpoint="", parameters={})
    worker = stack.functions[jobs.WORKER]
    handler = "bench.measured_worker.handler"
    return replace(worker, handler=handler, timeout=TIMEOUT), stack.bucket


def _print_errors(line: str) -> None:
    if '"_aws"' not in line:
        print(line, file=sys.stderr)


def _is_fine(measured: Measured) -> bool:
    return measured.complete and measured.above_idle <= LIMIT


def _table(measured: dict[Scenario, Measured]) -> Table:
    table = Table(title=f"Memory of the worker in MiB; at most {LIMIT // MIB} above idle")
    table.add_column("The worker streams", no_wrap=True)
    for heading in ("idle", "peak", "above idle", "MB/s", ""):
        table.add_column(heading, justify="right")
    for scenario, figures in measured.items():
        table.add_row(
            scenario.text,
            f"{figures.idle / MIB:.1f}",
            f"{figures.peak / MIB:.1f}",
            f"{figures.above_idle / MIB:.1f}",
            f"{scenario.bytes / figures.seconds / MB:.0f}",
            "ok" if _is_fine(figures) else "too much" if figures.complete else "incomplete",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
