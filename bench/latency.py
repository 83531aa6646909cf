"""Measure the time from a change upstream to the served page, with ticks each minute.

    python -m bench.latency [--changes 100] [--minutes 12]

Uses the local stack with its schedules, queue, functions and distribution. Upstream changes at
random moments; a reader requests each page until it shows the change. Exits with status 1 if a
change never appears.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench import jobs
from localcloud import LocalCloud
from tests.upstream import Index, Server, wheel

PROJECTS = 20
TIMEOUT = 300.0  # seconds for one change
PAUSE = 0.25  # seconds between two reads of a page
JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(slots=True)
class Change:
    """A release of a project: when it was uploaded, and how long readers waited for it."""

    project: str
    version: str
    made: float
    seconds: float | None = None


def main() -> int:
    options = _options()
    console = Console(highlight=False)
    chance = random.Random(options.seed)  # noqa: S311
    index = Index()
    names = [f"project-{number}" for number in range(PROJECTS)]
    for name in names:
        index.upload(wheel(name, "0"))
    stop = threading.Event()
    with Server(index) as upstream, LocalCloud(runtime=jobs.runtime(upstream.url)) as cloud:
        running = threading.Thread(target=cloud.run, args=(stop,))
        running.start()
        try:
            first = [Change(name, "0", time.monotonic()) for name in names]
            _await(first, cloud.url)
            console.print(f"The mirror is filled; {options.changes} changes follow ...")
            changes = _change(index, names, options, chance, cloud.url)
        finally:
            stop.set()
            running.join()
    console.print(_table(changes))
    return 0 if all(change.seconds is not None for change in changes) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=12, help="over which they are spread")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _change(
    index: Index, names: list[str], options: argparse.Namespace, chance: random.Random, url: str
) -> list[Change]:
    """Upload releases at random moments, and wait until readers see all of them."""
    start = time.monotonic()
    moments = sorted(chance.uniform(0, options.minutes * 60) for _ in range(options.changes))
    changes: list[Change] = []
    reader = threading.Thread(
        target=lambda: _await(
            changes, url, until=start + options.minutes * 60 + TIMEOUT, expected=options.changes
        )
    )
    reader.start()
    for number, moment in enumerate(moments, 1):
        time.sleep(max(0.0, start + moment - time.monotonic()))
        name, version = chance.choice(names), str(number)
        index.upload(wheel(name, version))
        changes.append(Change(name, version, time.monotonic()))
    reader.join()
    return changes


def _await(
    changes: list[Change], url: str, *, until: float | None = None, expected: int = 0
) -> None:
    """Read the pages until they show all changes, or until the timeout."""
    until = time.monotonic() + TIMEOUT if until is None else until
    while time.monotonic() < until:
        waiting = [change for change in changes if change.seconds is None]
        if not waiting and len(changes) >= expected:
            return
        for project in {change.project for change in waiting}:
            shown = _versions(url, project)
            now = time.monotonic()
            for change in waiting:
                if change.project == project and change.version in shown:
                    change.seconds = now - change.made
        time.sleep(PAUSE)


def _versions(url: str, project: str) -> set[str]:
    request = urllib.request.Request(f"{url}/simple/{project}/", headers={"Accept": JSON})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return set(json.load(response)["versions"])
    except urllib.error.HTTPError as error:
        error.read()  # otherwise the server logs a broken connection
        return set()


def _table(changes: list[Change]) -> Table:
    seconds = sorted(change.seconds for change in changes if change.seconds is not None)
    table = Table("Changes", "Seen", "Median s", "95 % s", "Worst s", box=SIMPLE_HEAD)
    table.add_row(
        str(len(changes)),
        str(len(seconds)),
        f"{statistics.median(seconds):.0f}",
        f"{seconds[int(len(seconds) * 0.95)]:.0f}",
        f"{seconds[-1]:.0f}",
    )
    return table


if __name__ == "__main__":
    sys.exit(main())
