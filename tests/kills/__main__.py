"""Run trials from the command line; exit with status 1 if they found a violation."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING

from tests.kills.targets import Bucket, Folder
from tests.kills.trial import Report, Settings, Trial

if TYPE_CHECKING:
    from tests.kills.targets import Target

_TARGETS = {target.name: target for target in (Folder, Bucket)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="in each target")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    parser.add_argument("--target", choices=[*_TARGETS], help="only in this target")
    options = parser.parse_args()
    logging.getLogger("aiohttp.server").disabled = True  # this trial kills clients
    print(f"seed {options.seed}: to replay, make kills SEED={options.seed} KILLS={options.kills}")
    settings = Settings(seed=options.seed, kills=options.kills)
    names = [options.target] if options.target else [*_TARGETS]
    with ThreadPoolExecutor(len(names)) as pool:  # both in parallel: they mostly wait
        reports = list(pool.map(lambda name: run(settings, _TARGETS[name]()), names))
    for report in reports:
        show(report)
    return 1 if any(report.violations for report in reports) else 0


def run(settings: Settings, target: Target) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        print_line = lambda line: print(f"{target.name}: {line}", flush=True)  # noqa: E731
        return Trial(settings, target, Path(folder), print_line).run()


def show(report: Report) -> None:
    print(f"\n{report.name}")
    for title, counts in (("kills", report.kills), ("left until the next run", report.left)):
        for name, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])):
            print(f"  {count:8}  {title}: {name}")
    for name, figure in report.figures.items():
        print(f"  {figure:8}  {name}")
    print(f"  {len(report.never_named):8}  files left over that no page ever named")
    print(f"  {len(report.violations):8}  violations (seed {report.seed})")


if __name__ == "__main__":
    sys.exit(main())
