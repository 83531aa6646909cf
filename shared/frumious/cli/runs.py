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
    from collections.abc import Awaitable, Callable, Collection

    from packaging.utils import NormalizedName

    from frumious.cli.options import Options
    from frumious.local import Done
    from frumious.mirror import Mirror
    from frumious.model.jobs import Result
    from frumious.model.plans import Plan


def run(
    options: Options,
    plan: Callable[[Mirror], Awaitable[Plan]],
    *,
    concerned: Collection[NormalizedName] | None = None,
) -> None:
    """Carry out a plan, show how it goes, and exit with 1 if projects are lagging afterwards.

    Only `concerned` projects count, if they are given.

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
    lagging = {
        project: entry
        for project, entry in sorted(done.lagging.items())
        if concerned is None or project in concerned
    }
    for project, entry in lagging.items():
        click.echo(f"{project} is behind upstream: {entry.reason}", err=True)
    if planned.regressed:
        click.echo(regressed_text(planned), err=True)
    if absent or lagging or done.stopped or planned.regressed:
        raise SystemExit(1)
