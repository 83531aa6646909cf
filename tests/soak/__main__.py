"""Run a soak from the command line; exit with status 1 if it found a violation."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path
from random import SystemRandom

from tests.faults.report import show
from tests.soak.soak import Settings, Soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    logging.getLogger("aiohttp.server").disabled = True  # this trial kills clients
    print(
        f"seed {options.seed}: to replay, make soak SEED={options.seed}"
        f" MINUTES={options.minutes:g} RUNS={options.runs}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(seed=options.seed, minutes=options.minutes, runs=options.runs)
        report = Soak(settings, Path(folder), lambda line: print(line, flush=True)).run()
    show(
        {
            "faults": report.faults,
            "changes upstream": report.changes,
            "kills, by write": report.kills,
            "why ticks and batches failed, and jobs were retried": report.reasons,
        },
        report.figures,
        never_named=report.never_named,
        violations=report.violations,
        seed=report.seed,
    )
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
