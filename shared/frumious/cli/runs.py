"""Runs on one machine: shows how they go, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console

from frumious.cli.process import with_mirror
from frumious.cli.progress import Progress
from frumious.cli.tables import Tally, regressed_text
from frumious.errors import FrumiousError
from frumious.local import run_here

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from frumious.local import Done
    from frumious.mirror import Mirror
    from frumious.model.jobs import Result
    from frumious.model.plans import Plan


def run(options: tuple[Path, bool], plan: Callable[[Mirror], Awaitable[Plan]]) -> None:
    """Carry out a plan, show how it goes, and exit with 1 if the mirror is not in step afterwards.

    Raises:
        ClickException: as for `with_mirror`.
    """
    tally = Tally()

    async def work(mirror: Mirror) -> tuple[Plan, Done]:
        with Progress() as progress:

            def report(jobs: int, result: Result | None) -> None:
                progress.update(jobs, result)
                if result is not None:
                    tally.add(result)

            try:
                planned = await plan(mirror)
            except FrumiousError:  # earlier runs are done whatever keeps this one from planning
                await run_here(None, mirror, report)
                raise
            return planned, await run_here(planned, mirror, report)

    planned, done = with_mirror(options, work, exclusive=True)
    Console(highlight=False).print(tally.table())
    absent = sorted(planned.named & tally.absent)
    for project in absent:
        click.echo(f"{project}: neither upstream nor the mirror has it", err=True)
    for project, entry in sorted(done.lagging.items()):
        click.echo(f"{project} is behind upstream: {entry.reason}", err=True)
    if planned.regressed:
        click.echo(regressed_text(planned), err=True)
    if absent or done.lagging or done.stopped or planned.regressed:
        raise SystemExit(1)
