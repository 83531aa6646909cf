"""Progress of a run: a bar on a terminal, else a line every half minute."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Self

import rich.progress
from rich.console import Console

if TYPE_CHECKING:
    from types import TracebackType

    from frumious.model.jobs import Result

_LINE_INTERVAL: Final = 30.0  # seconds


class Progress:
    """A context manager that shows how many of a run's projects are done."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("Projects", total=None)
        self._done = self._failed = 0
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self, jobs: int, result: Result | None) -> None:
        """Set the total number of jobs; count `result`, if a job is done."""
        if result is not None:
            self._done += 1
            self._failed += result.error is not None
        failed = f", {self._failed} failed" if self._failed else ""
        self._bar.update(
            self._task, total=jobs, completed=self._done, description=f"Projects{failed}"
        )
        if self._bar.disable and time.monotonic() > self._last_line + _LINE_INTERVAL:
            self._last_line = time.monotonic()
            self._console.print(f"{self._done} of {jobs} projects done{failed}")
