"""What a month of an idle stack costs: an hour's ticks on the local stack, times list prices.

The stack mirrors one project. Upstream goes on: a project that is not mirrored changes each minute.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from bench.jobs import runtime
from bench.recording import recording
from frumious.cli.tables import cost_table
from frumious.cost.estimate import Idle, idle_month, total
from frumious.cost.requests import BUSY_FINALIZER, BUSY_PLANNER, Requests
from localcloud import LocalCloud
from tests.upstream import Index, Server, wheel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bench.recording import RecordedRequest, Recording

GOAL: Final = 3.0  # USD
TICKS: Final = 60
FUNCTIONS: Final = ("PlannerFunction", "FinalizerFunction")
IDLE_REQUESTS: Final = (Requests(1, 1), Requests(2, 0))  # but for each fifth tick
CONFIG: Final = (
    "[mirror]\nstorage-backend = s3\ndirectory = /bucket\nallow-non-https = true\n"
    "diff-file = {{mirror_directory}}/mirrored-files\n"
    "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages = mirrored\n"
)


@dataclass(frozen=True, slots=True)
class Counted:
    """What a function's ticks asked for, and how long they took."""

    kinds: Counter[str]
    seconds: float
    cpu_seconds: float  # of the function's process
    busy: Requests = Requests(0, 0)  # noqa: RUF009 (a named tuple)

    @property
    def requests(self) -> Requests:
        """Requests to S3 for each tick."""
        return Requests(self.kinds["read"] / TICKS, self.kinds["write"] / TICKS)


def main() -> int:
    """Measure, print, and compare with the constants of `frumious estimate`."""
    console = Console(highlight=False)
    console.print(f"Counting what {TICKS} idle ticks of each function ask for ...")
    with recording() as recorded, Server(Index()) as upstream:
        config = recorded.path.with_name("mirror.conf")
        config.write_text(CONFIG)
        started = runtime(upstream.url)
        python_path = (Path(__file__).with_name("bootstrap"), *started.python_path)
        started = replace(started, config=config, python_path=python_path)
        with LocalCloud(runtime=started) as cloud:
            for name in FUNCTIONS:
                function = cloud._functions[name]  # noqa: SLF001
                function.settings = replace(function.settings, handler="moving_clock.handler")
            counted, idle = _measure(cloud, upstream.index, recorded)
    items = idle_month(idle)
    console.print(cost_table("An idle month", items))
    for name, each in counted.items():
        console.print(
            f"{name}: {each.requests.reads:.2f} reads and {each.requests.writes:.2f} writes a tick,"
            f" {1000 * each.seconds / TICKS:.0f} ms on this machine, of which"
            f" {1000 * each.cpu_seconds / TICKS:.0f} ms of its CPU",
            style="dim",
        )
    problems = list(_problems(counted, idle))
    if total(items) > GOAL:
        problems.append(f"an idle month costs ${total(items):.2f}, more than ${GOAL:.2f}")
    for problem in problems:
        console.print(problem, style="red")
    return 1 if problems else 0


def _measure(
    cloud: LocalCloud, index: Index, recorded: Recording
) -> tuple[dict[str, Counted], Idle]:
    index.upload(wheel("mirrored", "1.0"))
    for name in FUNCTIONS:
        cloud.tick(name)
        cloud.pump()
    for _ in range(3):
        for name in FUNCTIONS:
            cloud.tick(name)
    recorded.pop_requests()
    cloud.logs.lines.clear()
    counts = {name: Counted(Counter(), 0.0, 0.0) for name in FUNCTIONS}
    for number in range(TICKS):
        index.upload(wheel("other", f"{number}.0"))
        for name in FUNCTIONS:
            began, cpu_began = time.perf_counter(), _cpu_seconds(cloud, name)
            cloud.tick(name)
            seconds = counts[name].seconds + time.perf_counter() - began
            cpu_seconds = counts[name].cpu_seconds + _cpu_seconds(cloud, name) - cpu_began
            kinds = counts[name].kinds + _kinds(recorded.pop_requests(), cloud.bucket)
            counts[name] = Counted(kinds, seconds, cpu_seconds)
    lines = list(cloud.logs.lines)
    metrics = {
        (line.function, metric["Name"])
        for line in lines
        for directive in (line.fields or {}).get("_aws", {}).get("CloudWatchMetrics", ())
        for metric in directive["Metrics"]
    }
    for name, busy in _busy_ticks(cloud, index, recorded).items():
        counts[name] = replace(counts[name], busy=busy)
    return counts, Idle(
        planner=counts["PlannerFunction"].requests,
        finalizer=counts["FinalizerFunction"].requests,
        receives=counts["FinalizerFunction"].kinds["queue"] / TICKS,
        metrics=len(metrics),
        alarms=len(cloud.stack.alarms),
        log_bytes=sum(len(line.text) for line in lines) / TICKS / len(FUNCTIONS),
    )


def _cpu_seconds(cloud: LocalCloud, name: str) -> float:
    """Return the CPU time that a function's warm process has used."""
    (environment,) = cloud._functions[name]._idle  # noqa: SLF001
    pid = environment._process.pid  # noqa: SLF001
    *_, fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _busy_ticks(cloud: LocalCloud, index: Index, recorded: Recording) -> dict[str, Requests]:
    """Return what a tick with a change makes in addition to the requests of an idle one.

    The first one also does what the finalizer does once an hour.
    """
    found: dict[str, Requests] = {}
    for version in ("2.0", "3.0"):
        index.upload(wheel("mirrored", version))
        for name, idle in zip(FUNCTIONS, IDLE_REQUESTS, strict=True):
            recorded.pop_requests()
            cloud.tick(name)
            kinds = _kinds(recorded.pop_requests(), cloud.bucket)
            found[name] = Requests(kinds["read"] - idle.reads, kinds["write"] - idle.writes)
            cloud.pump()
    return found


def _problems(counted: dict[str, Counted], idle: Idle) -> Iterator[str]:
    """Name what differs from what `frumious estimate` assumes."""
    for name, value in zip(Idle._fields, idle, strict=True):
        assumed = Idle()._asdict()[name]
        if name == "log_bytes":
            differs = not 0.5 * assumed <= value <= 1.5 * assumed
        else:
            differs = value != assumed
        if differs:
            yield f"frumious.cost assumes {name} = {assumed}, and it is {value}"
    for (name, each), busy in zip(counted.items(), (BUSY_PLANNER, BUSY_FINALIZER), strict=True):
        if each.busy != busy:
            yield f"frumious.cost assumes for a busy tick of {name} {busy}, and it is {each.busy}"
        if each.kinds["other"]:
            yield f"{name} made {each.kinds['other']} requests that nobody prices"


def _kinds(recorded: Iterable[RecordedRequest], bucket: str) -> Counter[str]:
    """Count the requests by what they cost: reads, writes, deletions, requests to a queue."""
    return Counter(_kind(request, bucket) for request in recorded)


def _kind(request: RecordedRequest, bucket: str) -> str:
    if request.path.startswith(f"/{bucket}"):
        match request.method:
            case "GET" | "HEAD":
                return "write" if request.lists else "read"  # as AWS bills
            case "PUT":
                return "write"
        return "deletion"
    return "queue" if request.is_sqs else "other"


if __name__ == "__main__":
    sys.exit(main())
