"""Run the comparison, and print medians and ratios.

python -m bench.peers [--rounds 5] [--small]
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections import defaultdict
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from bench.peers import programs, report
from bench.peers.catalogue import Catalogue
from bench.peers.programs import bandersnatch, bare_loop, frumious, rclone_copy
from bench.peers.report import Program, Results, Work
from bench.peers.upstream import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.peers.programs import Bucket, Folder, Measured
    from bench.peers.upstream import PeersUpstream

LIKE_PYPI: Final = Catalogue(projects=202, releases=1430)
SMALL: Final = Catalogue(projects=20, releases=40)
_LATENCY: Final = 0.03  # seconds before each answer
_SPACE: Final = 2 * 1000**3  # bytes for each mirror
_BOTH: Final[dict[Program, Callable[..., Measured]]] = {
    Program.FRUMIOUS: frumious,
    Program.BANDERSNATCH: bandersnatch,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="few projects, to see that it works")
    options = parser.parse_args()
    if not programs.BANDERSNATCH.exists():
        print("bandersnatch is missing; `make bench-peers` installs it", file=sys.stderr)
        return 2
    results = compare(SMALL if options.small else LIKE_PYPI, options.rounds)
    console = Console(highlight=False, width=140)
    console.print(f"{options.rounds} rounds, medians; {_machine()}")
    console.print(report.times(results))
    console.print(report.goals(results))
    return 0


def compare(catalogue: Catalogue, rounds: int) -> Results:
    """Let all programs mirror a catalogue in turn, and return what each run took.

    Raises:
        Failed: a program failed, or lacks files.
    """
    results: Results = defaultdict(list)
    with serving(catalogue) as upstream:
        for number in range(rounds + 1):
            measured: Results = defaultdict(list)
            _round(upstream, catalogue, measured)
            if number:  # in the first one, upstream renders its answers
                for key, runs in measured.items():
                    results[key] += runs
    return results


def _round(upstream: PeersUpstream, catalogue: Catalogue, results: Results) -> None:
    with ExitStack() as stack:
        folders = {program: stack.enter_context(programs.folder()) for program in Program}
        buckets = {program: stack.enter_context(programs.bucket(_SPACE)) for program in Program}

        def measure(work: Work, targets: dict[Program, Any]) -> None:
            for program, run in _BOTH.items():
                results[work, program].append(run(targets[program], upstream.url))

        upstream.set(changed=False, latency=0)
        measure(Work.FOLDER_FULL, folders)
        limit = bare_loop(folders[Program.LIMIT], upstream.url)
        results[Work.FOLDER_FULL, Program.LIMIT].append(limit)
        measure(Work.FOLDER_NONE, folders)
        measure(Work.S3_FULL, buckets)
        copied = rclone_copy(folders[Program.LIMIT], buckets[Program.LIMIT])
        results[Work.S3_FULL, Program.LIMIT].append(copied)
        measure(Work.S3_NONE, buckets)
        _check({**folders}, {**buckets}, catalogue.files)
        upstream.set(changed=True, latency=0)
        measure(Work.FOLDER_CHANGED, folders)
        measure(Work.S3_CHANGED, buckets)
    with ExitStack() as stack:
        folders = {program: stack.enter_context(programs.folder()) for program in _BOTH}
        upstream.set(changed=False, latency=_LATENCY)
        measure(Work.FOLDER_FULL_LATENCY, folders)


def _check(folders: dict[Program, Folder], buckets: dict[Program, Bucket], files: int) -> None:
    for where, targets in (("folder", folders), ("S3", buckets)):
        for program, target in targets.items():
            if target.files() < files:
                msg = f"{program} has {target.files()} of {files} files in the {where}"
                raise programs.Failed(msg)


def _machine() -> str:
    return f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
