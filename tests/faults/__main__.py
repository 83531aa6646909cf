"""Run a trial from the command line; exit with status 1 if it found a violation."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path
from random import SystemRandom

from tests.faults.report import show
from tests.faults.trial import Settings, Trial


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    options = parser.parse_args()
    logging.getLogger("aiohttp.server").disabled = True  # this trial kills clients
    print(f"seed {options.seed}: to replay, make faults SEED={options.seed} JOBS={options.jobs}")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(seed=options.seed, jobs=options.jobs)
        report = Trial(settings, Path(folder), lambda line: print(line, flush=True)).run()
    show(
        {
            "faults": report.faults,
            "changes upstream": report.changes,
            "why jobs failed or were retried": report.reasons,
        },
        report.figures,
        never_named=report.never_named,
        violations=report.violations,
        seed=report.seed,
    )
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
