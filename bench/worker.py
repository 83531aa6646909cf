"""Measure the worker's jobs as Lambda runs them: jobs a second, CPU for each job and file, memory.

    python -m bench.worker [--rounds 5] [--small]

The built worker in Lambda's Python, with the layer's packages for this machine's processor, under
AWS's runtime client. Upstream, S3 (rclone's server) and the queue are other processes. --small
runs the checkout's worker in this Python instead, on a few files, to see that it works.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from bench import jobs, null_queue, rclone
from bench.peers import programs, targets, upstream
from bench.start import LAMBDA_PYTHON, LAYER
from localcloud import ExecutionEnvironment, Runtime
from localcloud.environment import CHECKOUT
from localcloud.stack_reader import read_stack
from tests.upstream import Index

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from localcloud.stack import Function

MIB: Final = 1024**2
GOAL: Final = 1.5  # of the bare loop's CPU for each file
_BUILD: Final = CHECKOUT / ".aws-sam" / "build"
_FILE_SIZE: Final = 10_000  # bytes
_SPACE: Final = 1000**3  # bytes of the bucket


class Work(StrEnum):
    """What has changed in a job's project."""

    NONE = "no change"
    ONE = "one new file"
    MANY = "a hundred new files"


@dataclass(frozen=True, slots=True)
class Projects:
    """For each round, a batch of projects for each kind of work; each has one file at first."""

    rounds: int
    batch: int = 10  # the stack's BatchSize
    many: int = 100

    def names(self, work: Work, number: int) -> list[str]:
        """Return the projects of one round."""
        return [f"{work.name.lower()}-{number}-{each}" for each in range(self.batch)]

    def new_files(self, work: Work) -> int:
        """Return how many files are new in each project."""
        return {Work.NONE: 0, Work.ONE: 1, Work.MANY: self.many}[work]

    def index(self) -> Index:
        """Return an index that has them."""
        index = Index()
        for _, name in self._all():
            index.add_file(name, f"{name}-0.tar.gz", size=_FILE_SIZE)
        return index

    def change(self, index: Index) -> None:
        """Upload the new files."""
        for work, name in self._all():
            for version in range(self.new_files(work)):
                index.add_file(name, f"{name}-{version + 1}.tar.gz", size=_FILE_SIZE)

    def _all(self) -> Iterator[tuple[Work, str]]:
        for number in range(self.rounds):
            for work in Work:
                for name in self.names(work, number):
                    yield work, name


class Measured(NamedTuple):
    """One invocation: seconds of all, and of the CPU; bytes."""

    seconds: float
    cpu: float
    peak: int


class Cold(NamedTuple):
    """Seconds until the handler was called, and of the CPU until then."""

    seconds: float
    cpu: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="few files, to see that it works")
    options = parser.parse_args()
    projects = Projects(options.rounds, 2, 5) if options.small else Projects(options.rounds)
    console = Console(highlight=False)
    with upstream.serving(projects) as served, null_queue.serving() as queue:
        with rclone.serving("frumious", _SPACE) as s3:
            runtime, function = _checkout() if options.small else _built()
            endpoints = {
                "FRUMIOUS_BUCKET": s3.bucket.name,
                "FRUMIOUS_MASTER": served.url,
                "AWS_ENDPOINT_URL": s3.endpoint,
                "AWS_ENDPOINT_URL_SQS": queue.endpoint,
            }
            runtime = replace(
                runtime, environment={**runtime.environment, **endpoints, **s3.credentials}
            )
            cold, warm = _run(projects, served, s3, function, runtime)
        bare = _bare_loop(projects, served)
    console.print(f"Cold start: {cold.seconds:.2f} s, of which {cold.cpu:.2f} s of CPU")
    console.print(_table(projects, warm))
    files = projects.many - 1
    ours = (_cpu(warm[Work.MANY]) - _cpu(warm[Work.ONE])) / projects.batch / files
    console.print(
        f"CPU for each new file: {1000 * ours:.2f} ms, the bare loop's {1000 * bare:.2f} ms;"
        f" ratio {ours / bare:.2f}, goal {GOAL}"
    )
    return 0


def _built() -> tuple[Runtime, Function]:
    """Return the built worker and its runtime."""
    path = (LAYER, _BUILD / "RuntimeLayer" / "python", CHECKOUT)
    config = Path(__file__).with_name("mirror.conf")
    worker = read_stack(_BUILD / "template.yaml", endpoint="", parameters={}).functions[jobs.WORKER]
    return Runtime(LAMBDA_PYTHON, path, config), _measured(worker)


def _checkout() -> tuple[Runtime, Function]:
    stack = read_stack(CHECKOUT / "template.yaml", endpoint="", parameters={})
    return jobs.runtime(""), _measured(stack.functions[jobs.WORKER])


def _measured(worker: Function) -> Function:
    return replace(worker, handler="bench.measured_worker.handler")


def _run(
    projects: Projects,
    served: upstream.PeersUpstream,
    s3: rclone.S3Server,
    function: Function,
    runtime: Runtime,
) -> tuple[Cold, dict[Work, list[Measured]]]:
    """Return what the cold start took, and what warm invocations took."""
    measured: dict[Work, list[Measured]] = {work: [] for work in Work}
    with ExitStack() as stack:
        began = time.time()
        environment = ExecutionEnvironment(function, runtime, _print_errors)
        stack.callback(environment.close)

        def invoke(names: Sequence[str]) -> dict[str, Any]:
            event = jobs.batch(names)
            jobs.open_run(event, s3.client(), s3.bucket.name)
            figures: dict[str, Any] = environment.invoke(event)
            if figures["response"]["batchItemFailures"]:
                msg = f"jobs of {names} failed"
                raise RuntimeError(msg)
            return figures

        served.set(changed=False, latency=0)
        first = invoke(projects.names(Work.NONE, 0))
        cold = Cold(first["called"] - began, first["cpu_before"])
        for number in range(projects.rounds):
            for work in Work:
                invoke(projects.names(work, number))
        served.set(changed=True, latency=0)
        for number in range(projects.rounds):
            for work in Work:
                figures = invoke(projects.names(work, number))
                measured[work].append(Measured(figures["seconds"], figures["cpu"], figures["peak"]))
    expected = projects.rounds * projects.batch
    expected *= len(Work) + sum(map(projects.new_files, Work))
    if (stored := len(s3.stored())) != expected:
        msg = f"the worker stored {stored} files instead of {expected}"
        raise RuntimeError(msg)
    return cold, measured


def _bare_loop(projects: Projects, served: upstream.PeersUpstream) -> float:
    """Return the seconds of CPU for each file, without what the program takes by itself."""
    cpu = []
    for changed in (False, True):
        served.set(changed=changed, latency=0)
        runs = []
        for _ in range(projects.rounds):
            with targets.folder() as folder:
                runs.append(programs.bare_loop(folder, served.url).cpu)
        cpu.append(min(runs))
    files = projects.rounds * projects.batch * sum(map(projects.new_files, Work))
    return (cpu[1] - cpu[0]) / files


def _cpu(runs: Sequence[Measured]) -> float:
    return min(each.cpu for each in runs)


def _table(projects: Projects, warm: dict[Work, list[Measured]]) -> Table:
    table = Table(box=MARKDOWN)
    for heading in ("a job's project has", "jobs/s", "CPU, ms a job", "peak, MiB"):
        table.add_column(heading, justify="left" if "has" in heading else "right")
    for work, runs in warm.items():
        seconds = statistics.median(each.seconds for each in runs)
        table.add_row(
            work,
            f"{projects.batch / seconds:.0f}",
            f"{1000 * _cpu(runs) / projects.batch:.1f}",
            f"{max(each.peak for each in runs) / MIB:.0f}",
        )
    return table


def _print_errors(line: str) -> None:
    if '"level":"ERROR"' in line or '"level":"WARNING"' in line or not line.startswith("{"):
        print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
