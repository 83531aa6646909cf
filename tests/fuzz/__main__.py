"""Fuzz all targets in turn: `python -m tests.fuzz [--minutes 60] [TARGET]...`."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parents[2]
CORPUS: Final = CHECKOUT / "tests/fuzz/corpus"
WORK: Final = CHECKOUT / ".fuzz"  # what fuzzing learned, for the next time
PYTHON: Final = CHECKOUT / ".venv-fuzz/bin/python"

_FINDING: Final = re.compile(r"Test unit written to (\S+)")
_UNCAUGHT: Final = " === Uncaught Python exception"
_MAX_LENGTH: Final = 16 * 1024  # bytes of an input
_SECONDS: Final = 10  # that an input may take
_MEBIBYTES: Final = 512


def main() -> int:
    """Fuzz the targets one after the other; return 1 if there are findings."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    options = parser.parse_args()
    targets = options.targets or sorted(folder.name for folder in CORPUS.iterdir())
    seconds = max(1, round(options.minutes * 60 / len(targets)))
    findings = 0
    for target in targets:
        log = _search(target, seconds)
        found = _has_finding(log)
        executed = re.findall(r"number_of_executed_units: (\d+)", log) or ["?"]
        print(f"{target:16} {executed[-1]:>12} inputs, {int(found)} findings", flush=True)
        if found:
            print(log[log.rfind(_UNCAUGHT) :][:3000], flush=True)
        for path in _FINDING.findall(log):  # libFuzzer does not always write it
            kept = Path(path).relative_to(CHECKOUT)
            print(f"{kept} has the input; make test ARGS=tests/fuzz repeats it", flush=True)
        findings += found
    print(f"{len(targets)} targets, {seconds} seconds each: {findings} findings")
    return 1 if findings else 0


def _search(target: str, seconds: int) -> str:
    """Fuzz a target until a finding, for some time; return the log."""
    learned, kept = WORK / target, CORPUS / target
    learned.mkdir(parents=True, exist_ok=True)
    return fuzz(
        target,
        learned,
        kept,
        *(f"-max_total_time={seconds}", f"-max_len={_MAX_LENGTH}", f"-timeout={_SECONDS}"),
        *(f"-rss_limit_mb={_MEBIBYTES}", f"-artifact_prefix={kept}/", "-print_final_stats=1"),
    )


def _has_finding(log: str) -> bool:
    return _UNCAUGHT in log or _FINDING.search(log) is not None


def fuzz(target: str, *arguments: str | Path) -> str:
    """Run libFuzzer with these arguments; return its log.

    Raises:
        RuntimeError: it did not run.
    """
    done = subprocess.run(
        [PYTHON, "-m", "tests.fuzz.process", target, *arguments],
        cwd=CHECKOUT,
        env={"PYTHONPATH": "shared"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    log = done.stdout.decode(errors="replace")
    if done.returncode and not _has_finding(log):
        msg = f"{target} did not run: {log[-3000:]}"
        raise RuntimeError(msg)
    return log


if __name__ == "__main__":
    sys.exit(main())
