"""A run on stderr: a line for each project as it ends, and on a terminal a bar of bytes."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

import click

from frumious.cli.notes import Notes, echo
from frumious.cli.sizes import count, duration, size

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress as Bar

    from frumious.meter import Meter

_REFRESH: Final = 0.5  # seconds; nothing is drawn in a shorter run
_LINE_INTERVAL: Final = 60  # of these, between two lines where there is no terminal
_SPEED_WINDOW: Final = 20  # of these, over which the speed is measured
_NARROW: Final = 80  # columns, below which the bar and some numbers make room for the others


class Progress:
    """An asynchronous context manager that shows how a run goes; quiet, it shows nothing.

    Attributes:
        jobs: How many jobs there are so far.
        done: How many of them are done.
    """

    def __init__(self, meter: Meter, *, quiet: bool) -> None:
        self.jobs = self.done = 0
        self._meter = meter
        self._log = next(
            (each for each in logging.getLogger().handlers if isinstance(each, Notes)), None
        )
        self._quiet = quiet
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._colored = self._terminal and not os.environ.get("NO_COLOR")
        self._lines: list[str] = []  # that wait for the next time that the bar is drawn
        self._bar: Bar | None = None
        self._ticks = 0
        self._samples = [(time.monotonic(), 0)]
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if not self._quiet:
            self._task = asyncio.create_task(self._draw())
            if self._log is not None:
                self._log.show = self.line
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._flush()
        if self._bar is not None:
            self._bar.stop()
        if self._log is not None:
            self._log.show = echo

    def line(self, text: str, *, failed: bool = False) -> None:
        """Show a line."""
        if self._quiet:
            return
        if self._colored and failed:
            text = click.style(text, fg="red")
        if self._terminal:
            self._lines.append(text)
        else:
            click.echo(text, err=True)

    async def _draw(self) -> None:
        while True:
            await asyncio.sleep(_REFRESH)
            self._ticks += 1
            self._samples = [*self._samples, (time.monotonic(), self._meter.transferred)]
            del self._samples[:-_SPEED_WINDOW]
            if self._terminal:
                if self.jobs:  # else somebody may be asked to confirm something
                    self._update_bar()
                self._flush()
            elif self.jobs and self._ticks % _LINE_INTERVAL == 0:
                click.echo(", ".join(self._texts()), err=True)

    def _flush(self) -> None:
        """Write the lines that wait, above the bar."""
        lines, self._lines = "\n".join(self._lines), []
        if self._bar is None:
            if lines:
                click.echo(lines, err=True, color=self._colored)
            return
        if lines:
            from rich.text import Text  # noqa: PLC0415 (takes a while to import)

            self._bar.console.print(Text.from_ansi(lines), soft_wrap=True)
        self._bar.refresh()

    def _update_bar(self) -> None:
        if self._bar is None:
            self._bar = _bar()
            self._bar.add_task("", total=None)
            self._bar.start()
        expected, transferred = self._expected(), self._meter.transferred
        self._bar.update(
            self._bar.task_ids[0],
            description=", ".join(self._texts(narrow=self._bar.console.width < _NARROW)),
            total=expected or self.jobs or None,
            completed=transferred if expected else self.done,
        )

    def _texts(self, *, narrow: bool = False) -> list[str]:
        """Return the numbers: projects, bytes, speed and time left; `narrow`, bytes and time."""
        texts = [f"{self.done:,} of {count(self.jobs, 'project')}"]
        expected, transferred = self._expected(), self._meter.transferred
        if not expected:
            return texts
        about = "" if self._meter.begun >= self.jobs else "~"
        texts.append(f"{size(transferred)} of {about}{size(max(expected, transferred))}")
        (since, before), (now, after) = self._samples[0], self._samples[-1]
        speed = (after - before) / (now - since) if now > since else 0.0
        texts.append(f"{size(max(speed, 0))}/s")
        if narrow:
            texts = texts[1:2]
        if speed > 0:
            texts.append(f"{duration(max(expected - transferred, 0) / speed)} left")
        return texts

    def _expected(self) -> float:
        """Return how many bytes there are to store; estimated, as long as jobs have not begun."""
        meter = self._meter
        if not meter.begun:
            return 0.0
        return meter.expected * max(self.jobs / meter.begun, 1)


def _bar() -> Bar:
    from rich.console import Console  # noqa: PLC0415 (takes a while to import)
    from rich.progress import BarColumn, TextColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

    console = Console(stderr=True, highlight=False)
    columns = [TextColumn("{task.description}", markup=False)]
    bar = [BarColumn(bar_width=None)] if console.width >= _NARROW else []
    return Bar(*bar, *columns, console=console, auto_refresh=False, transient=True, expand=True)
