"""The command that deletes projects from the mirror."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from frumious.cli.options import pass_options

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.cli.options import Options
    from frumious.mirror import Mirror
    from frumious.model.plans import Plan


@click.command(short_help="Delete projects at once, and keep them away.")
@click.argument("projects", nargs=-1, required=True, metavar="PROJECT...")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted; do nothing.")
@pass_options
def delete(options: Options, projects: tuple[str, ...], *, dry_run: bool) -> None:
    """Delete projects from the mirror at once: their pages, then their files.

    They stay away, whatever the configuration selects, until 'frumious sync PROJECT' or a new entry
    in the allowlist asks for them.
    """
    from frumious.cli.process import with_mirror
    from frumious.cli.runs import run
    from frumious.planning.named import InvalidProject
    from frumious.planning.named import delete as keep_out
    from frumious.planning.plan import plan_deletions

    try:
        planned = plan_deletions(projects)
    except InvalidProject as error:
        raise click.BadParameter(str(error)) from error
    names = sorted(planned.jobs)

    async def show(mirror: Mirror) -> None:
        for name in names:
            click.echo(await _describe(name, mirror))

    async def plan(mirror: Mirror) -> Plan:
        await show(mirror)
        await keep_out(mirror, names)
        return planned

    if dry_run:
        with_mirror(options, show)
        return
    run(options, plan, concerned=planned.jobs)
    click.echo(f"'frumious sync {' '.join(names)}' brings back what is deleted.", err=True)


async def _describe(project: NormalizedName, mirror: Mirror) -> str:
    """Return what the mirror has of a project."""
    from rich.filesize import decimal

    from frumious.simple.values import InvalidPage

    try:
        manifest = await mirror.pages.read_manifest(project)
    except InvalidPage as error:
        return f"{project}: {error}"
    if manifest is None:
        return f"{project}: the mirror does not have it"
    files = manifest.page.files
    size = decimal(sum(file.size or 0 for file in files))
    return f"{project}: {len(files)} file{'s' * (len(files) != 1)}, {size}"
