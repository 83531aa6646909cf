"""How a run goes: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Self

import rich.progress
from rich.console import Console

if TYPE_CHECKING:
    from types import TracebackType

    from frumious.model.jobs import Result

_A_LINE_EVERY: Final = 30.0  # seconds


class Progress:
    """Shows how many of a run's projects are done; a context manager."""

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
        self._jobs = self._done = self._failed = 0
        self._told = time.monotonic()

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

    def tell(self, jobs: int, result: Result | None) -> None:
        """Hear how many jobs there are, and perhaps of one that is done."""
        self._jobs = jobs
        if result is not None:
            self._done += 1
            self._failed += result.error is not None
        failed = f", {self._failed} failed" if self._failed else ""
        self._bar.update(
            self._task, total=jobs, completed=self._done, description=f"Projects{failed}"
        )
        if self._bar.disable and time.monotonic() > self._told + _A_LINE_EVERY:
            self._told = time.monotonic()
            self._console.print(f"{self._done} of {jobs} projects done{failed}")
