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
from typing import TYPE_CHECKING, Final

from rich.console import Console

from bench.peers import programs, report, targets
from bench.peers.catalogue import Catalogue
from bench.peers.programs import bandersnatch, bare_loop, frumious, rclone_copy
from bench.peers.report import Program, Results, Work
from bench.peers.upstream import serving
from tests.servers.localstack import localstack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.peers.programs import Measured
    from bench.peers.targets import Target
    from bench.peers.upstream import PeersUpstream
    from tests.servers.s3 import S3Server

LIKE_PYPI: Final = Catalogue(projects=202, releases=1430)
TENTH: Final = Catalogue(projects=20, releases=143)  # for a server that takes its time
SMALL: Final = Catalogue(projects=20, releases=40)
_LATENCY: Final = 0.03  # seconds before each answer
_SPACE: Final = 2 * 1000**3  # bytes for each mirror
_BOTH: Final[dict[Program, Callable[..., Measured]]] = {
    Program.FRUMIOUS: frumious,
    Program.BANDERSNATCH: bandersnatch,
}
# Both read all files, and compare their hashes.
_VERIFY: Final = {Program.FRUMIOUS: ("verify", "--deep"), Program.BANDERSNATCH: ("verify",)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="few projects, to see that it works")
    options = parser.parse_args()
    if not programs.BANDERSNATCH.exists():
        print("bandersnatch is missing; `make bench-peers` installs it", file=sys.stderr)
        return 2
    results: Results = defaultdict(list)
    whole, tenth = (SMALL, SMALL) if options.small else (LIKE_PYPI, TENTH)
    with serving(whole) as upstream:
        _repeat(lambda measured: _round(upstream, whole, measured), options.rounds, results)
    with serving(tenth) as upstream, localstack() as server:
        _repeat(
            lambda measured: _localstack(upstream, tenth, server, measured), options.rounds, results
        )
    console = Console(highlight=False, width=140)
    console.print(f"{options.rounds} rounds, medians; {_machine()}")
    console.print(report.times(results))
    console.print(report.goals(results))
    return 0


def _repeat(run: Callable[[Results], None], rounds: int, results: Results) -> None:
    """Let all programs do their work in turn, some times, and add what each run took.

    Raises:
        Failed: a program failed, or lacks files.
    """
    for number in range(rounds + 1):
        measured: Results = defaultdict(list)
        run(measured)
        if number:  # in the first one, upstream renders its answers
            for key, runs in measured.items():
                results[key] += runs


def _round(upstream: PeersUpstream, catalogue: Catalogue, results: Results) -> None:
    with ExitStack() as stack:
        folders = {each: stack.enter_context(targets.folder()) for each in Program}
        buckets = {each: stack.enter_context(targets.rclone_bucket(_SPACE)) for each in Program}
        upstream.set(changed=False, latency=0)
        _measure(Work.FOLDER_FULL, folders, upstream, results)
        limit = bare_loop(folders[Program.LIMIT], upstream.url)
        results[Work.FOLDER_FULL, Program.LIMIT].append(limit)
        _measure(Work.FOLDER_NONE, folders, upstream, results)
        _measure(Work.S3_FULL, buckets, upstream, results)
        copied = rclone_copy(folders[Program.LIMIT], buckets[Program.LIMIT])
        results[Work.S3_FULL, Program.LIMIT].append(copied)
        _measure(Work.S3_NONE, buckets, upstream, results)
        _check("folder", folders, catalogue)
        _check("bucket", buckets, catalogue)
        upstream.set(changed=True, latency=0)
        _measure(Work.FOLDER_CHANGED, folders, upstream, results)
        _measure(Work.S3_CHANGED, buckets, upstream, results)
    with ExitStack() as stack:
        folders = {each: stack.enter_context(targets.folder()) for each in _BOTH}
        upstream.set(changed=False, latency=_LATENCY)
        _measure(Work.FOLDER_FULL_LATENCY, folders, upstream, results)
    with ExitStack() as stack:  # bandersnatch verifies what the legacy JSON names
        folders = {each: stack.enter_context(targets.folder(json=True)) for each in _BOTH}
        upstream.set(changed=False, latency=0)
        unused = upstream.url.replace("http:", "https:")  # bandersnatch refuses the other one
        for program, run in _BOTH.items():
            run(folders[program], upstream.url)
            verified = run(folders[program], unused, *_VERIFY[program])
            results[Work.FOLDER_VERIFY, program].append(verified)


def _localstack(
    upstream: PeersUpstream, catalogue: Catalogue, server: S3Server, results: Results
) -> None:
    with ExitStack() as stack:
        buckets = {each: stack.enter_context(targets.new_bucket(server)) for each in _BOTH}
        _measure(Work.LOCALSTACK_FULL, buckets, upstream, results)
        _measure(Work.LOCALSTACK_NONE, buckets, upstream, results)
        _check("bucket of LocalStack", buckets, catalogue)


def _measure(
    work: Work, into: Mapping[Program, Target], upstream: PeersUpstream, results: Results
) -> None:
    for program, run in _BOTH.items():
        results[work, program].append(run(into[program], upstream.url))


def _check(kind: str, filled: Mapping[Program, Target], catalogue: Catalogue) -> None:
    for program, target in filled.items():
        if target.files() < catalogue.files:
            msg = f"{program} has {target.files()} of {catalogue.files} files in the {kind}"
            raise programs.Failed(msg)


def _machine() -> str:
    return f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
