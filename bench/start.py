"""Measure how long it takes until the command and the functions begin to work.

    python -m bench.start [--rounds 15]

Each line is a process of its own, interleaved with the others; the first round, in which Python
compiles the modules, does not count. CPU is what user and system took together.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from localcloud.environment import CHECKOUT
from localcloud.stack_reader import read_stack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

BANDERSNATCH: Final = CHECKOUT / ".venv-bandersnatch" / "bin" / "bandersnatch"
# Lambda's Python and what it brings; the layer's packages, for this machine's processor.
LAMBDA_PYTHON: Final = CHECKOUT / ".venv-lambda" / "bin" / "python"
LAYER: Final = CHECKOUT / ".venv-lambda" / "layer"
FUNCTIONS: Final = ("planner", "worker", "finalizer", "auditor")
# INIT ends when the function's module is imported.
_END: Final = "import os; os._exit(0)"
_CLIENTS: Final = f"import boto3; boto3.client('s3'); boto3.client('sqs'); {_END}"
_GOAL_HELP: Final = 1.0
_GOAL_INIT: Final = 1.5


class Taken(NamedTuple):
    """Seconds."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Start:
    """A process; it is compared with the one that is `peer`."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    peer: str = ""
    goal: float | None = None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    starts = {**commands(), **functions()}
    taken: dict[str, list[Taken]] = defaultdict(list)
    for number in range(rounds + 1):
        for name, start in starts.items():
            measured = _measure(start)
            if number:
                taken[name].append(measured)
    console = Console(highlight=False)
    console.print(_table(starts, taken))
    console.print(f"Milliseconds, the least of {rounds} rounds.", style="dim")
    return 0


def commands() -> dict[str, Start]:
    """Return what shows a command's help, ours and bandersnatch's where it is installed."""
    path = {"PYTHONPATH": str(CHECKOUT / "shared")}
    command = (sys.executable, "-P", "-m", "frumious.cli")
    if not BANDERSNATCH.exists():
        return {"frumious --help": Start((*command, "--help"), path)}
    peer = "bandersnatch --help"
    return {
        peer: Start((str(BANDERSNATCH), "--help")),
        "frumious --help": Start((*command, "--help"), path, peer, _GOAL_HELP),
        "frumious --version": Start((*command, "--version"), path, peer, _GOAL_HELP),
        "frumious mirror --help": Start((*command, "mirror", "--help"), path, peer, _GOAL_HELP),
    }


def functions() -> dict[str, Start]:
    """Return the imports of the functions' modules, in Lambda's Python where it is installed."""
    layer = [LAYER] if LAYER.is_dir() else []
    command = (str(LAMBDA_PYTHON) if layer else sys.executable, "-P", "-c")
    peer = "boto3 with clients for S3 and SQS"
    starts = {peer: Start((*command, _CLIENTS), function_environment("worker", *layer))}
    for name in FUNCTIONS:
        goal = _GOAL_INIT if name == "worker" else None
        program = (*command, f"import app; {_END}")
        starts[f"INIT of the {name}"] = Start(
            program, function_environment(name, *layer), peer, goal
        )
    return starts


def function_environment(name: str, *packages: Path) -> dict[str, str]:
    """Return the variables of a function's process, by the template."""
    stack = read_stack(CHECKOUT / "template.yaml", endpoint="", parameters={})
    path = (CHECKOUT / "functions" / name, CHECKOUT / "shared", *packages)
    return {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        **stack.functions[f"{name.title()}Function"].environment,
        "FRUMIOUS_CONFIG": str(CHECKOUT / "mirror.conf"),
        "PYTHONPATH": os.pathsep.join(map(str, path)),
    }


def _measure(start: Start) -> Taken:
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        start.command,
        env={**inherited, **start.environment},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Taken(wall, cpu)


def _table(starts: Mapping[str, Start], taken: Mapping[str, Sequence[Taken]]) -> Table:
    table = Table(box=MARKDOWN)
    for heading in ("start", "wall", "CPU", "ratio of wall", "ratio of CPU", "goal"):
        table.add_column(heading, justify="left" if heading == "start" else "right")
    least = {
        name: Taken(min(each.wall for each in runs), min(each.cpu for each in runs))
        for name, runs in taken.items()
    }
    for name, start in starts.items():
        row = [f"{1000 * seconds:.0f}" for seconds in least[name]]
        if start.peer:
            ratios = zip(least[name], least[start.peer], strict=True)
            row += [f"{ours / theirs:.2f}" for ours, theirs in ratios]
        if start.goal is not None:
            row.append(f"{start.goal:.1f}")
        table.add_row(name, *row)
    return table


if __name__ == "__main__":
    sys.exit(main())
