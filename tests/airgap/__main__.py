"""Run a trial from the command line: `make air-gap ROUNDS=50`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from random import SystemRandom

from tests.airgap.isolated import namespace
from tests.airgap.trial import Trial, Violation
from tests.upstream import Index, Server


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.airgap", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    options = parser.parse_args()
    if isinstance(missing := namespace(), str):
        print(missing)
        return 1
    print(f"seed {options.seed}: to replay, make air-gap SEED={options.seed}", flush=True)
    index = Index()
    with Server(index) as server, tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), index, server.url, options.seed)
        try:
            trial.run(options.rounds, lambda line: print(line, flush=True))
        except Violation as error:
            print(f"violation: {error}")
            return 1
    for name, count in sorted(trial.counts.items()):
        print(f"  {count:6}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
