"""The command: the mirror's verbs, on one machine."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from rich.console import Console

from frumious import __version__, config
from frumious.cli.show import counts_text, plan_table
from frumious.engine.mirror import Mirror, open_mirror
from frumious.engine.plan import plan_changes, told
from frumious.engine.retry import retry as make_due
from frumious.errors import FrumiousError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class _BadConfig(click.ClickException):
    exit_code = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default="mirror.conf",
    show_default=True,
    envvar="FRUMIOUS_CONFIG",
    help="What is mirrored, from where and into what; bandersnatch's keys.",
)
@click.version_option(__version__, prog_name="frumious")
@click.pass_context
def main(context: click.Context, path: Path) -> None:
    """Mirror PyPI, or a part of it.

    Exit status: 0 when all went well, 1 when something did not, 2 for a configuration or a
    command line that cannot be used.
    """
    context.obj = path


@main.command()
@click.option("--force-check", is_flag=True, help="Plan every project, changed or not.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_obj
def plan(path: Path, *, force_check: bool, as_json: bool) -> None:
    """Show what the next run would update, remove and retry, and why; do nothing."""

    async def work(mirror: Mirror) -> None:
        said = told(await plan_changes(mirror, force=force_check))
        if as_json:
            click.echo(json.dumps(said, indent=1))
        else:
            click.echo(f"The next run: {counts_text(said)}.")
            Console(highlight=False).print(plan_table(said))

    _with_mirror(path, work)


@main.command()
@click.argument("projects", nargs=-1, metavar="[PROJECT]...")
@click.pass_obj
def retry(path: Path, projects: tuple[str, ...]) -> None:
    """Let the next run take up lagging projects, all or the named ones, without their pause."""

    async def work(mirror: Mirror) -> None:
        due = await make_due(mirror, projects or None)
        click.echo(f"{len(due)} projects are tried again by the next run.")
        for project in due:
            click.echo(f"  {project}")

    _with_mirror(path, work)


def _with_mirror(path: Path, work: Callable[[Mirror], Awaitable[T]]) -> T:
    """Do something with the mirror that the configuration describes."""
    try:
        settings = config.load(path, os.environ)
    except config.ConfigError as error:
        raise _BadConfig(str(error)) from error
    for warning in settings.warnings:
        click.echo(f"{path}: {warning}", err=True)

    async def opened() -> T:
        async with open_mirror(settings) as mirror:
            return await work(mirror)

    try:
        return asyncio.run(opened())
    except FrumiousError as error:
        raise click.ClickException(str(error)) from error
