"""The command that deletes projects from the mirror."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from frumious.cli.options import json_option, pass_options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName

    from frumious.cli.options import Options
    from frumious.mirror import Mirror
    from frumious.model.plans import Plan
    from frumious.model.types import JsonObject


@click.command(short_help="Delete projects at once, and keep them away.")
@click.argument("projects", nargs=-1, required=True, metavar="PROJECT...")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted; do nothing.")
@json_option
@pass_options
def delete(options: Options, projects: tuple[str, ...], *, dry_run: bool, as_json: bool) -> None:
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

    async def look(mirror: Mirror) -> list[_Stored]:
        return [await _look(name, mirror) for name in names]

    async def plan(mirror: Mirror) -> Plan:
        if not as_json:
            _show(await look(mirror))
        await keep_out(mirror, names)
        return planned

    if dry_run:
        stored = with_mirror(options, look)
        if as_json:
            rows = {each.project: each.payload for each in stored}
            click.echo(json.dumps({"projects": rows}, indent=1))
        else:
            _show(stored)
        return
    run(options, plan, concerned=planned.jobs, follows_upstream=False, as_json=as_json)
    if not options.quiet:
        click.echo(f"'frumious sync {' '.join(names)}' brings back what is deleted.", err=True)


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the mirror has of a project."""

    project: NormalizedName
    files: int = 0
    bytes_: int = 0
    problem: str = ""  # why nobody knows how much

    @property
    def payload(self) -> JsonObject:
        problem: JsonObject = {"problem": self.problem} if self.problem else {}
        return {"files": self.files, "bytes": self.bytes_, **problem}


async def _look(project: NormalizedName, mirror: Mirror) -> _Stored:
    from frumious.simple.values import InvalidPage

    try:
        manifest = await mirror.pages.read_manifest(project)
    except InvalidPage as error:
        return _Stored(project, problem=str(error))
    if manifest is None:
        return _Stored(project, problem="the mirror does not have it")
    files = manifest.page.files
    return _Stored(project, len(files), sum(file.size or 0 for file in files))


def _show(stored: Iterable[_Stored]) -> None:
    from frumious.cli.sizes import count, size

    for each in stored:
        text = each.problem or f"{count(each.files, 'file')}, {size(each.bytes_)}"
        click.echo(f"{each.project}: {text}")
