"""The command that finds out what is wrong with a mirror, and repairs it on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from frumious.cli.options import pass_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frumious.auditing.findings import Finding
    from frumious.cli.options import Options
    from frumious.mirror import Mirror


@click.command(short_help="Find what is wrong with the state, and repair it.")
@click.option("--repair", is_flag=True, help="Repair what can be repaired without you.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@pass_options
def doctor(options: Options, *, repair: bool, as_json: bool) -> None:
    """Find damaged state, a second writer, wrong permissions, wrong clocks and full disks.

    Exit status 1 if something is wrong, or with --repair if something is left. 'frumious verify'
    compares pages and files.
    """
    from frumious.auditing.doctor import diagnose
    from frumious.cli.process import with_mirror

    async def check(mirror: Mirror) -> Sequence[Finding]:
        return await diagnose(mirror)

    async def mend(mirror: Mirror) -> Sequence[Finding]:
        for finding in await diagnose(mirror, locked=True):
            if finding.repair is not None:
                await _repair(finding, mirror)
                click.echo(f"repaired: {finding.subject}: {finding.problem}", err=True)
        return await diagnose(mirror, locked=True)

    found = with_mirror(options, check)  # before the lock, which says who had it
    if repair and any(finding.repair is not None for finding in found):
        found = with_mirror(options, mend, exclusive=True)
    _show(found, as_json=as_json)
    if found:
        raise SystemExit(1)


async def _repair(finding: Finding, mirror: Mirror) -> None:
    from frumious.auditing.findings import Remedy

    match finding.repair:
        case Remedy.ROOT_INDEX:
            from frumious.finalizing.rebuild import rebuild_root_index

            await rebuild_root_index(mirror)
        case Remedy.RESET_SERIALS:
            from frumious.local import run_here
            from frumious.planning.plan import plan_changes

            await run_here(
                await plan_changes(mirror, reset=True), mirror, lambda _jobs, _result: None
            )
        case None:
            pass
        case repair:
            await repair(mirror)


def _show(found: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        import json

        rows = [
            {
                "subject": finding.subject,
                "problem": finding.problem,
                "advice": finding.advice,
                "repairable": finding.repair is not None,
            }
            for finding in found
        ]
        click.echo(json.dumps({"findings": rows}, indent=1))
        return
    from frumious.cli.sizes import count

    for finding in found:
        click.echo(f"{finding.subject}: {finding.problem}\n  {finding.advice}")
    click.echo(f"{count(len(found), 'finding')}." if found else "Nothing is wrong.")
