"""Progress of the worker's jobs, from its log lines at DEBUG level."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

    from localcloud.logs import LogLine


class JobProgress:
    """Shows a bar of bytes on a terminal, else plain lines.

    `errors` has the error of each project whose last attempt failed.
    """

    def __init__(self, console: Console) -> None:
        self.errors: dict[str, str] = {}
        self._last_line = time.monotonic()
        self._total = 0
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("files", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._total == 0:
            self._bar.update(self._task, total=0, visible=False)
        self._bar.stop()

    @property
    def idle_seconds(self) -> float:
        return time.monotonic() - self._last_line

    def __call__(self, line: LogLine) -> None:
        """Process a line that a function printed."""
        self._last_line = time.monotonic()
        if line.fields is None:
            line.show()
            return
        match line.fields.get("message"):
            case "project selected":
                self._selected(
                    line.fields["project"], line.fields["new_files"], line.fields["new_bytes"]
                )
            case "bytes stored":
                self._bar.update(self._task, advance=line.fields["bytes"])
            case "project failed":
                self.errors[line.fields["project"]] = line.fields["error"]

    def _selected(self, project: str, files: int, size: int) -> None:
        self.errors.pop(project, None)
        self._total += size
        self._bar.update(self._task, total=self._total)
        noun = "file" if files == 1 else "files"
        self._bar.console.print(f"  {project}: {files} new {noun}, {decimal(size)}")
