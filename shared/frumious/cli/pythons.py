"""`frumious pythons`: builds of Python, which uv installs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from frumious.cli.options import json_option, pass_options

if TYPE_CHECKING:
    from frumious.cli.options import Options
    from frumious.mirror import Mirror
    from frumious.pythons.builds import Mirrored


@click.command(short_help="Mirror the builds of Python that uv installs.")
@click.option("--deep", is_flag=True, help="Read what is stored, and fetch damaged builds again.")
@click.option("--prune", is_flag=True, help="Delete builds that the list no longer has.")
@json_option
@pass_options
def pythons(options: Options, *, deep: bool, prune: bool, as_json: bool) -> None:
    """Mirror the builds of Python that [pythons] in mirror.conf selects.

    Each is verified by the sha256 of the list. docs/python-builds.md shows how uv installs them.

    Exit status 1 if a build could not be mirrored.
    """
    from frumious.cli.process import with_mirror

    async def work(mirror: Mirror) -> Mirrored:
        from frumious.pythons.builds import mirror_builds

        policy = mirror.config.pythons
        if policy is None:
            msg = (
                f"{options.path} names no list of builds: set list in its section [pythons], as"
                " docs/python-builds.md shows"
            )
            raise click.UsageError(msg)
        return await mirror_builds(policy, mirror, deep=deep, prune=prune)

    done = with_mirror(options, work, exclusive=True)
    if as_json:
        import json

        click.echo(json.dumps(done._asdict(), indent=1))
    elif not options.quiet:
        from frumious.cli.sizes import count

        new, gone = len(done.stored), len(done.removed)
        click.echo(f"{count(done.builds, 'build')}: {new} new, {gone} removed.")
    for problem in done.problems:
        click.echo(problem, err=True)
    if done.problems:
        raise SystemExit(1)
