"""Run trials from the command line; exit with status 1 if they found a violation."""

from __future__ import annotations

import argparse
import logging
import sys
from random import SystemRandom
from typing import Final

from tests.damage.places import PLACES
from tests.damage.trial import Report, run_trial

_SHARES: Final = {"filesystem": 0.7, "s3": 0.2, "swift": 0.1}  # of the mirrors


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.damage", description=__doc__)
    parser.add_argument("--mirrors", type=int, default=500)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    parser.add_argument("--place", choices=[*PLACES], help="only in this storage")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # damage is logged, and there is much of it
    print(f"seed {options.seed}: to replay, make damage SEED={options.seed}")
    total = Report()
    for name, share in _SHARES.items():
        if options.place in {None, name}:
            count = options.mirrors if options.place else round(options.mirrors * share)
            report = run(name, count, options.seed)
            print(f"{name}: {report.mirrors} mirrors, {report.damages.total()} damages")
            total.add(report)
    for title, counts in (
        ("damages", total.damages),
        ("findings", total.found),
        ("outcomes", total.outcomes),
    ):
        for kind, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            print(f"  {count:8}  {title}: {kind}")
    print(f"  {total.mirrors:8}  mirrors")
    print(f"  {len(total.violations):8}  violations (seed {options.seed})")
    return 1 if total.violations else 0


def run(name: str, count: int, seed: int) -> Report:
    """Run trials in one storage; print violations as they are found."""
    total = Report()
    with PLACES[name]() as new_mirror:
        for number in range(count):
            report = run_trial(seed * 100_000 + number, new_mirror)
            for violation in report.violations:
                print(f"{name}: {violation}", flush=True)
            total.add(report)
    return total


if __name__ == "__main__":
    sys.exit(main())
