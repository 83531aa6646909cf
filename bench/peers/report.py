"""The table of a comparison: medians, ratios and goals."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from rich.box import MARKDOWN
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.peers.programs import Measured

MIB: Final = 1024**2


class Work(StrEnum):
    """What the programs do."""

    FOLDER_FULL = "folder, full"
    FOLDER_FULL_LATENCY = "folder, full, 30 ms"
    FOLDER_NONE = "folder, no change"
    FOLDER_CHANGED = "folder, 5% changed"
    FOLDER_VERIFY = "folder, verify"
    S3_FULL = "S3, full"
    S3_NONE = "S3, no change"
    S3_CHANGED = "S3, 5% changed"
    LOCALSTACK_FULL = "LocalStack's S3, a tenth, full"
    LOCALSTACK_NONE = "LocalStack's S3, no change"


class Program(StrEnum):
    """Who does it."""

    FRUMIOUS = "frumious"
    BANDERSNATCH = "bandersnatch"
    LIMIT = "limit"  # the bare loop into a folder, rclone into S3


Results = dict[tuple[Work, Program], "list[Measured]"]


@dataclass(frozen=True, slots=True)
class Goal:
    """How much of another program's time Frumious may take."""

    work: Work
    program: Program
    ratio: float


GOALS: Final = (
    Goal(Work.FOLDER_FULL, Program.BANDERSNATCH, 0.55),
    Goal(Work.FOLDER_FULL, Program.LIMIT, 1.3),
    Goal(Work.FOLDER_FULL_LATENCY, Program.BANDERSNATCH, 0.2),
    Goal(Work.FOLDER_NONE, Program.BANDERSNATCH, 1.0),
    Goal(Work.S3_FULL, Program.BANDERSNATCH, 0.1),
    Goal(Work.S3_CHANGED, Program.BANDERSNATCH, 0.25),
)


def times(results: Results) -> Table:
    """Return the medians of all programs."""
    table = Table(box=MARKDOWN)
    for heading in ("work", *Program, "CPU", "of bandersnatch", "MiB", "of bandersnatch"):
        table.add_column(heading, justify="left" if heading == "work" else "right")
    for work in Work:
        ours, theirs, limit = (results.get((work, program)) for program in Program)
        if ours is None or theirs is None:
            continue
        table.add_row(
            work,
            _seconds(ours),
            _seconds(theirs),
            _seconds(limit) if limit else "",
            *_medians(ours, theirs, "cpu", 1),
            *_medians(ours, theirs, "memory", MIB),
        )
    return table


def goals(results: Results) -> Table:
    """Return the ratios that count, and whether the goals are reached."""
    table = Table(box=MARKDOWN)
    for heading in ("work", "compared with", "time", "goal", ""):
        table.add_column(
            heading, justify="left" if heading in {"work", "compared with"} else "right"
        )
    for goal in GOALS:
        ours, theirs = (results.get((goal.work, each)) for each in (Program.FRUMIOUS, goal.program))
        if ours and theirs:
            # Each round by itself: what disturbs the machine disturbs all programs of a round.
            ratio = statistics.median(
                mine.seconds / other.seconds for mine, other in zip(ours, theirs, strict=True)
            )
            verdict = "reached" if ratio <= goal.ratio else "missed"
            table.add_row(goal.work, goal.program, f"{ratio:.2f}", f"{goal.ratio:.2f}", verdict)
    return table


def _seconds(runs: Sequence[Measured]) -> str:
    return f"{statistics.median(run.seconds for run in runs):.2f} s"


def _medians(
    ours: Sequence[Measured], theirs: Sequence[Measured], what: str, unit: float
) -> Iterator[str]:
    for runs in (ours, theirs):
        yield f"{statistics.median(getattr(run, what) for run in runs) / unit:.1f}"
