"""Measure what the closure costs planner, finalizer and worker.

    python -m bench.closure [--projects 2000] [--dependencies 30]

The planner walks through projects that need one another, the finalizer adds the reports of a batch,
and the worker parses the requirements of a project and chooses its releases.
"""

from __future__ import annotations

import argparse
import random
import time
import tracemalloc
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import Version

from frumious.model import layout
from frumious.model.closure import (
    NOTHING_NEEDED,
    Change,
    ClosureFile,
    Dependencies,
    Dependency,
    Known,
    Need,
)
from frumious.selection.closure import Closure, choose, resolve
from frumious.selection.names import AllowedProjects
from frumious.selection.requirements import dependencies_of
from frumious.selection.selection import Selection
from frumious.selection.subject import Release
from frumious.state.objects import parse, render
from frumious.storage.protocol import Stored

if TYPE_CHECKING:
    from collections.abc import Callable

_SPECIFIERS = (">=1", ">=1,<2", ">=2.1,!=2.3", "~=3.1", "")


def measure(what: str, work: Callable[[], object]) -> None:
    """Print a row with the CPU time of some work, and the memory that it takes."""
    began = time.process_time()
    work()
    seconds = time.process_time() - began
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"| {what} | {seconds:.2f} | {peak / 1024**2:.0f} |", flush=True)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--projects", type=int, default=2000)
    parser.add_argument("--dependencies", type=int, default=30)
    options = parser.parse_args()
    random.seed(1)
    names = [canonicalize_name(f"project-{number}") for number in range(options.projects)]

    def found() -> Dependencies:
        several = (
            Dependency(random.choice(names), random.choice(_SPECIFIERS))  # noqa: S311
            for _ in range(options.dependencies)
        )
        return Dependencies("page", tuple(sorted({*several})))

    file = ClosureFile(1, {name: Known(1, found()) for name in names})
    selection = Selection(names=(AllowedProjects(frozenset(names[:20])),))
    closure = Closure(max_projects=options.projects)
    stored = Stored(render(file), "etag")
    changes = [Change(name, 2, rewinding=False, found=found()) for name in names[:500]]
    lines = [f"lib>=1.{number}; python_version < '3.{number % 20}'" for number in range(3000)]
    releases = [Release(f"1.{number}", Version(f"1.{number}"), ()) for number in range(1500)]
    needs = [Need(f">=1.{number},<1.{number + 1}", names[0], "lib") for number in range(500)]
    print("| step | CPU s | MiB |\n| --- | --- | --- |")
    measure(
        "planner: the dependencies are read", lambda: parse(layout.CLOSURE, stored, ClosureFile)
    )
    measure(
        f"planner: the walk through {options.projects} projects",
        lambda: resolve(file, selection, closure, NOTHING_NEEDED),
    )
    measure("finalizer: 500 reports are added", lambda: render(file.changed(changes)))
    measure("worker: 3,000 requirements are parsed", lambda: dependencies_of(lines, ()))
    measure(
        "worker: 1,500 releases, 500 requirements", lambda: choose(needs, releases, latest=False)
    )


if __name__ == "__main__":
    main()
