"""Measure planner and finalizer at PyPI's size: CPU, memory, requests.

    python -m bench.scale [--projects 740000]

Each line is a new process with a new mirror: the code that the functions call, with boto3 and
aiohttp, without Lambda. Upstream is the tests' fake one, S3 is rclone's server, and the queue an
endpoint that accepts all messages; each in another process. Exits with status 1 if a line exceeds
the limit, or if the cost of 500 changes grows with the mirror, apart from reading and writing its
root index once. Needs Linux.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench import synthetic
from bench.steps import Figures, Mirrored, in_bucket
from bench.synthetic import CHANGES, World
from frumious.finalizing.finalize import finalize
from frumious.finalizing.root_index import publish_root_index, root_index_etag
from frumious.model.pages import ListedProject
from frumious.model.root_shards import SHARDS as SHARDS_FOLDER
from frumious.model.runs import Cursor
from frumious.planning.dispatch import start_runs
from frumious.planning.plan import plan_changes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frumious.messaging.job_queue import JobQueue
    from frumious.mirror import Mirror


PYPI: Final = 740_000  # projects
SMALLER: Final = 100  # how many times smaller the other mirror is
SHARDS: Final = (256, 4096)
CHANGED: Final = 1000  # projects, in the measurements of shards
MIB: Final = 1024**2
LIMIT: Final = 512 * MIB
SLACK: Final = 1.0  # seconds of CPU by which the same work may differ between processes
NOISE = 1.25  # by which two measurements of the same may differ


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table."""

    text: str
    projects: int
    took: Figures
    problem: str = ""

    @property
    def verdict(self) -> str:
        too_large = "too much memory" if self.took.peak > LIMIT else ""
        return ", ".join(filter(None, (too_large, self.problem))) or "ok"


# What is measured


async def plan_and_send(mirror: Mirror, queue: JobQueue) -> int:
    """Run one tick of the planner; return the number of planned jobs."""
    plan = await plan_changes(mirror)
    await start_runs(plan, mirror, queue)
    return len(plan.jobs)


async def send_remaining_stages(mirror: Mirror, queue: JobQueue) -> int:
    """Run ticks until all stages are sent, each as if the earlier ones were closed."""
    ticks = 0
    while (await mirror.ledger.change_cursor(_without_sent)).runs:
        await start_runs(None, mirror, queue)
        ticks += 1
    return ticks


def _without_sent(cursor: Cursor) -> Cursor:
    return msgspec.structs.replace(
        cursor, runs=tuple(run for run in cursor.runs if run.sent is None)
    )


async def finalize_once(mirror: Mirror, _: JobQueue) -> int:
    """Run one tick of the finalizer; return the number of open runs."""
    return (await finalize(mirror)).open


@dataclass(frozen=True, slots=True)
class PublishRootIndex:
    """Merge the changes into the root index."""

    world: World

    async def __call__(self, mirror: Mirror, _: JobQueue) -> int:
        changed = self.world.changed()
        changes = {
            name: ListedProject(name, serial, 3, 100_000) for name, serial in changed.items()
        }
        etag = await root_index_etag(mirror.pages)
        return (
            await publish_root_index(changes, self.world.now, mirror.pages, replacing=etag)
        ).projects


@dataclass(frozen=True, slots=True)
class PublishChanges:
    """Merge 1,000 changes into the root index and its shards, if there are any."""

    world: World
    serial: int = 0  # after that of the world
    verify: bool = False

    async def __call__(self, mirror: Mirror, _: JobQueue) -> int:
        serial = self.world.now + self.serial
        changes = {
            name: ListedProject(name, serial, 3, 100_000) for name in self.world.some(CHANGED)
        }
        etag = await root_index_etag(mirror.pages)
        totals = await publish_root_index(
            changes, serial, mirror.pages, replacing=etag, verify=self.verify
        )
        return totals.projects


def _written(mirrored: Mirrored) -> dict[str, int]:
    """Return when each shard was written, by its path in the bucket."""
    folder = mirrored.folder
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in (folder / SHARDS_FOLDER).glob("*.json")
    }


# How it is measured


class Bench:
    """Measure line by line, and print each line at once."""

    def __init__(self, console: Console, projects: int) -> None:
        self._console = console
        self.large = World(projects)
        self.small = World(max(projects // SMALLER, CHANGES))
        self.lines: list[Line] = []

    def run(self) -> None:
        with ExitStack() as stack:
            self._console.print("Making an upstream ...")
            upstream = stack.enter_context(synthetic.upstream(self.large))
            small_upstream = stack.enter_context(synthetic.upstream(self.small))
            self._first_plan(upstream)
            self._reconciliation(upstream)
            self._incremental_plans((upstream, self.large), (small_upstream, self.small))
            self._incremental_merges(upstream)
            self._sharded_merges(upstream)
            self._first_merge(upstream)

    def _first_plan(self, upstream: str) -> None:
        with in_bucket(upstream) as mirrored:
            took = mirrored.measure(plan_and_send)
            expected = self.large.projects_now
            problem = "" if took.count == expected else f"{took.count} jobs"
            self._add("planner: all new, first stages sent", self.large, took, problem)
            rest = mirrored.measure(send_remaining_stages)
            missing = expected - took.messages - rest.messages
            problem = f"{missing} jobs were not sent" if missing else ""
            self._add(f"... other stages, {rest.count} ticks", self.large, rest, problem)

    def _reconciliation(self, upstream: str) -> None:
        with in_bucket(upstream) as mirrored:
            cursor = synthetic.idle_cursor(self.large, serial=self.large.now, reconciled=False)
            self._create(mirrored, self.large, cursor)
            took = mirrored.measure(plan_and_send)
            problem = "" if took.count == CHANGES else f"{took.count} jobs"
            self._add(f"planner: {CHANGES} differ in root index", self.large, took, problem)

    def _incremental_plans(self, *worlds: tuple[str, World]) -> None:
        took: list[Figures] = []
        for upstream, world in worlds:
            with in_bucket(upstream) as mirrored:
                cursor = synthetic.idle_cursor(world, serial=world.before, reconciled=True)
                self._create(mirrored, world, cursor)
                took.append(mirrored.measure(plan_and_send))
        large, small = took
        for (_, world), figures in zip(worlds, took, strict=True):
            problem = "" if figures.count == CHANGES else f"{figures.count} jobs"
            if figures is large and large.storage != small.storage:
                problem = "more requests than in a small mirror"
            elif figures is large and large.cpu > small.cpu + SLACK:
                problem = "grows with the mirror"
            self._add(f"planner: {CHANGES} changes in changelog", world, figures, problem)

    def _incremental_merges(self, upstream: str) -> None:
        took: list[Figures] = []
        for world in (self.large, self.small):
            with in_bucket(upstream) as mirrored:
                cursor = synthetic.idle_cursor(world, serial=world.now, reconciled=True)
                self._create(mirrored, world, cursor)
                synthetic.store_results(mirrored.folder, world.changed(), cursor, first=False)
                took.append(mirrored.measure(finalize_once))
        with in_bucket(upstream) as mirrored:
            self._create(mirrored, self.large, Cursor())
            root_index = mirrored.measure(PublishRootIndex(self.large))
        large, small = took
        problem = "more requests than in a small mirror" if large.storage != small.storage else ""
        if large.cpu > small.cpu + root_index.cpu * NOISE + SLACK:
            problem = "grows with the mirror beyond its root index"
        self._add(f"finalizer: {CHANGES} results", self.large, large, problem)
        self._add("... of which the root index", self.large, root_index)
        self._add(f"finalizer: {CHANGES} results", self.small, small)

    def _sharded_merges(self, upstream: str) -> None:
        """Publish the root index in shards as well: all of them, and those of 1,000 changes."""
        with in_bucket(upstream) as mirrored:
            cursor = synthetic.idle_cursor(self.large, serial=self.large.now, reconciled=True)
            self._create(mirrored, self.large, cursor)
            changes = PublishChanges(self.large)
            took = mirrored.measure(changes)
            self._add(f"root index: {CHANGED:,} changes", self.large, took)
            for number in SHARDS:
                conf = f"{mirrored.conf}root-index-shards = {number}\n"
                sharded = replace(mirrored, conf=conf)
                took = sharded.measure(replace(changes, serial=number))
                self._add(f"... and all {number:,} shards, new", self.large, took)
                before = _written(mirrored)
                took = sharded.measure(replace(changes, serial=number + 1))
                sizes = [
                    (mirrored.folder / path).stat().st_size
                    for path, time in _written(mirrored).items()
                    if time != before[path]
                ]
                text = f"... and their shards: {len(sizes) - 1}, {sum(sizes) / 1e6:.1f} MB"
                self._add(text, self.large, took)
                took = sharded.measure(replace(changes, serial=number + 2, verify=True))
                self._add("... and all are compared, once an hour", self.large, took)

    def _first_merge(self, upstream: str) -> None:
        jobs = {name: listed.serial or 0 for name, listed in self.large.listed().items()}
        with in_bucket(upstream) as mirrored:
            self._console.print("Storing results ...")
            cursor = synthetic.idle_cursor(self.large, serial=self.large.before, reconciled=True)
            synthetic.store_results(mirrored.folder, jobs, cursor, first=True)
            tick = 1
            while True:
                took = mirrored.measure(finalize_once)
                problem = ""
                if took.count == 0:  # runs
                    status = json.loads((mirrored.folder / "web/status.json").read_bytes())
                    if status["projects"] != len(jobs):
                        problem = f"lists {status['projects']} projects"
                self._add(f"finalizer: all results, tick {tick}", self.large, took, problem)
                if took.count == 0:
                    return
                tick += 1

    def _create(self, mirrored: Mirrored, world: World, cursor: Cursor) -> None:
        self._console.print(f"Making a mirror of {world.projects:,} projects ...")
        mirrored.create(world, cursor)

    def _add(self, text: str, world: World, took: Figures, problem: str = "") -> None:
        line = Line(text, world.projects, took, problem)
        self.lines.append(line)
        self._console.print(
            f"{text}: {took.cpu:.1f} s of CPU, {took.peak / MIB:.0f} MiB, {line.verdict}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.scale")
    parser.add_argument("--projects", type=int, default=PYPI, help="in the upstream")
    console = Console(highlight=False, width=max(Console().width, 110))
    bench = Bench(console, max(parser.parse_args().projects, 2 * CHANGES))
    bench.run()
    console.print(_table(bench.lines))
    console.print(
        "CPU of the step, peak of the process's resident memory as Linux counts it (VmHWM), and"
        " requests to upstream, S3 and SQS. Upstream, S3 (rclone's server, which ignores If-Match)"
        " and the queue (an endpoint that accepts everything) share this machine.",
        style="dim",
    )
    return 0 if all(line.verdict == "ok" for line in bench.lines) else 1


def _table(lines: Sequence[Line]) -> Table:
    table = Table(title=f"At PyPI's size; at most {LIMIT // MIB} MiB", box=SIMPLE_HEAD, padding=0)
    table.add_column("One process", no_wrap=True)
    for heading in ("projects", "CPU s", "s", "MiB", "upstream", "S3", "SQS", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in lines:
        took = line.took
        table.add_row(
            line.text,
            f"{line.projects:,}",
            f"{took.cpu:.1f}",
            f"{took.seconds:.1f}",
            f"{took.peak / MIB:.0f}",
            *(f"{count:,}" for count in (took.upstream, took.storage, took.queue)),
            line.verdict,
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
