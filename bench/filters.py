"""Measure what all filters together cost planner and worker, against none.

    python -m bench.filters [--projects 740000] [--rounds 3]

The planner compares its root index with upstream's, from which 500 projects differ; each time in a
new process, in turn without filters and with all of them. The worker parses and filters a project
page, in this process. CPU times are medians. Lists of projects to mirror are left out: few projects
would remain.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from packaging.utils import canonicalize_name
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from bench import synthetic
from bench.scale import PYPI
from bench.steps import in_bucket
from bench.synthetic import CHANGES, World
from frumious.config import loading
from frumious.planning.plan import plan_changes
from frumious.selection.subject import Context
from frumious.simple import legacy_json, parse_json
from tests.upstream import Index
from tests.upstream.pages import Addresses
from tests.upstream.pages import legacy_json as render_legacy
from tests.upstream.pages import project_page as render_page
from tests.upstream.personality import PYPI as LIKE_PYPI

if TYPE_CHECKING:
    from collections.abc import Callable

    from frumious.messaging.job_queue import JobQueue
    from frumious.mirror import Mirror
    from frumious.selection.selection import Selection

_NONE: Final = "none"
_BLOCKED: Final = 1_000  # projects of the blocklist
_RELEASES: Final = {"a project with 20 files": 10, "a project with 2,000 files": 1_000}
_URL: Final = "https://upstream/simple/demo/"
_UPLOADED: Final = datetime(2026, 1, 1, tzinfo=UTC)
_LISTED: Final = "\n".join(f"    blocked-{number}" for number in range(_BLOCKED))
_FILTERS: Final = {
    _NONE: "",
    "all": f"""
[plugins]
enabled = all

[blocklist]
packages =
{_LISTED}
    demo == 1.0
platforms =
    windows
    musllinux
    py2.7

[allowlist]
platforms =
    linux_x86_64
    macos_arm64
pythons =
    3.12
    3.13

[cooldown]
days = 7
exceptions =
    demo == 2.1

[budget]
max-file-size = 1G
max-project-size = 100G

[filter_regex]
packages =
    .*-nightly$
    .*-canary-\\d+$
releases =
    .+\\.dev\\d+$

[size_project_metadata]
max_package_size = 100G

[versions_count_project_metadata]
max_versions = 100000

[regex_project_metadata]
info.name =
    .+

[regex_release_file_metadata]
none:release_file.packagetype =
    bdist_wininst

[version_range_project_metadata]
info.requires_python =
    3.12

[version_range_release_file_metadata]
release_file.requires_python =
    3.12

[latest_release]
keep = 100000
""",
}


class _Page(NamedTuple):
    """A project as upstream describes it."""

    page: bytes
    legacy: bytes


async def plan(mirror: Mirror, _: JobQueue) -> int:
    """Plan one tick, and send nothing; return the number of jobs."""
    return len((await plan_changes(mirror)).jobs)


def measure_planner(world: World, rounds: int) -> dict[str, float]:
    """Return the CPU seconds of a comparison with upstream's root index."""
    took: dict[str, list[float]] = {name: [] for name in _FILTERS}
    with ExitStack() as stack:
        upstream = stack.enter_context(synthetic.upstream(world))
        cursor = synthetic.idle_cursor(world, serial=world.now, reconciled=False)
        mirrors = {
            name: stack.enter_context(in_bucket(upstream, filters))
            for name, filters in _FILTERS.items()
        }
        for mirrored in mirrors.values():
            mirrored.create(world, cursor)
        for _ in range(rounds):
            for name, mirrored in mirrors.items():
                figures = mirrored.measure(plan)
                if figures.count != CHANGES:
                    sys.exit(f"with filters {name!r}: {figures.count} jobs instead of {CHANGES}")
                took[name].append(figures.cpu)
    return {name: statistics.median(values) for name, values in took.items()}


def measure_worker(releases: int, rounds: int) -> dict[str, float]:
    """Return the CPU seconds in which a page is parsed and filtered."""
    page = _page(releases)
    took: dict[str, list[float]] = {name: [] for name in _FILTERS}
    selections = {
        name: loading.parse(f"[mirror]\ndirectory = /mirror\n{filters}", {}).selection
        for name, filters in _FILTERS.items()
    }
    repeats = max(1, 20_000 // releases)
    for _ in range(rounds):
        for name, selection in selections.items():
            took[name].append(_cpu(partial(_select, page, selection), repeats))
    return {name: statistics.median(values) for name, values in took.items()}


def _cpu(call: Callable[[], object], repeats: int) -> float:
    started = time.process_time()
    for _ in range(repeats):
        call()
    return (time.process_time() - started) / repeats


def _select(page: _Page, selection: Selection) -> None:
    """Do what a job does of a page, from its bytes to the selected files."""
    project = canonicalize_name("demo")
    parsed = parse_json.project_page(page.page, _URL, project)
    legacy = legacy_json.parse(page.legacy) if selection.needs_legacy else None
    selected = selection.select(project, parsed.page, Context(now=time.time(), legacy=legacy))
    if selected is None or len(selected.files) != len(parsed.page.files):
        sys.exit("the filters exclude files that are to be counted")


def _page(releases: int) -> _Page:
    """Make a project whose releases have an sdist and a wheel each."""
    index = Index()
    for number in range(releases):
        for suffix in (".tar.gz", "-py3-none-any.whl"):
            index.add_file(
                "demo",
                f"demo-2.{number}{suffix}",
                requires_python=">=3.10",
                upload_time=_UPLOADED,
            )
    view = index.project("demo")
    if view is None:
        raise AssertionError
    addresses = Addresses("https://upstream", "https://upstream")
    return _Page(
        json.dumps(render_page(view, LIKE_PYPI, addresses)).encode(),
        json.dumps(render_legacy(view, addresses)).encode(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.filters")
    parser.add_argument("--projects", type=int, default=PYPI, help="in the upstream")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    world = World(max(arguments.projects, 2 * CHANGES))
    table = Table(box=MARKDOWN)
    for heading in ("CPU", *(f"filters: {name}" for name in _FILTERS), "ratio"):
        table.add_column(heading, justify="left" if heading == "CPU" else "right")

    def add(text: str, took: dict[str, float], unit: str, factor: int) -> None:
        figures = (f"{seconds * factor:.2f} {unit}" for seconds in took.values())
        table.add_row(text, *figures, f"{took['all'] / took[_NONE]:.2f}")

    text = f"planner, {CHANGES} of {world.projects_now:,} projects differ"
    add(text, measure_planner(world, arguments.rounds), "s", 1)
    for what, releases in _RELEASES.items():
        add(f"worker, {what}", measure_worker(releases, arguments.rounds), "ms", 1000)
    Console(highlight=False, width=120).print(table)


if __name__ == "__main__":
    main()
