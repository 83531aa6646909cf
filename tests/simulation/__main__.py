"""Run histories from the command line; exit with status 1 if something is wrong in one."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import SystemRandom

from tests.simulation.histories import draw, replay, simulated
from tests.simulation.planted import PLANTED
from tests.simulation.shrinking import shrunk

_CHUNKS = 400  # that the histories are cut into; a process takes one at a time
_MAX_SHRUNK = 3  # of each kind


def main() -> int:
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is part of a history
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])  # noqa: S606
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--histories", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--replay", nargs="+", default=[], help="histories as JSON, or files of it")
    parser.add_argument("--first", action="store_true", help="stop at the first violation")
    parser.add_argument("--planted", choices=sorted(PLANTED), help="a fault that is to be found")
    options = parser.parse_args()
    with PLANTED[options.planted]() if options.planted else simulated():
        if options.replay:
            return max(map(_replay, options.replay))
        return _run(options)


def _replay(text: str) -> int:
    if not text.startswith("["):
        print(text)
        text = Path(text).read_text(encoding="utf-8")
    return int(replay(json.loads(text), print).violation is not None)


def _run(options: argparse.Namespace) -> int:
    seed, histories = options.seed, options.histories
    started = time.monotonic()
    print(f"seed {seed}: to repeat it, make simulation SEED={seed} HISTORIES={histories}")
    kinds: Counter[str] = Counter()
    cpu, done = 0.0, 0
    size = -(-histories // _CHUNKS)
    chunks = [(seed, start, min(start + size, histories)) for start in range(0, histories, size)]
    # Forked processes share what is imported, and what is planted.
    with ProcessPoolExecutor(options.processes, get_context("fork")) as pool:
        for numbers, seconds, found in pool.map(_run_chunk, chunks):
            cpu += seconds
            done += numbers
            for number, kind in found:
                kinds[kind] += 1
                if kinds[kind] <= _MAX_SHRUNK:
                    _show(f"{seed}/{number}")
                if options.first:
                    pool.shutdown(cancel_futures=True)
                    return 1
            if done // size % 40 == 0:
                print(f"{done} histories, {kinds.total()} violations", flush=True)
    elapsed = time.monotonic() - started
    for kind, count in kinds.most_common():
        print(f"{count:8}  {kind}")
    print(
        f"{histories} histories in {elapsed:.0f} s ({cpu / histories * 1000:.1f} ms of CPU each),"
        f" {kinds.total()} violations"
    )
    return int(bool(kinds))


def _run_chunk(chunk: tuple[int, int, int]) -> tuple[int, float, list[tuple[int, str]]]:
    seed, start, stop = chunk
    began = time.process_time()
    histories = ((number, draw(f"{seed}/{number}").violation) for number in range(start, stop))
    found = [(number, str(violation.kind)) for number, violation in histories if violation]
    return stop - start, time.process_time() - began, found


def _show(seed: str) -> None:
    """Print a history as small as it gets, and how to repeat it."""
    print(f"\nhistory {seed}")
    history = shrunk(draw(seed))
    replay(history.trace, print)
    print(f"python -m tests.simulation --replay '{json.dumps(history.trace)}'\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
