"""`frumious plan`: what the next run would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from frumious.cli.options import json_option, pass_options

if TYPE_CHECKING:
    from frumious.cli.forecast import Forecast
    from frumious.cli.options import Options
    from frumious.mirror import Mirror
    from frumious.model.plans import Plan


@click.command(short_help="Show what the next run would do, and why.")
@click.option("--force-check", is_flag=True, help="Plan every project, changed or not.")
@click.option("--reset-serials", is_flag=True, help="Count upstream's serials anew.")
@json_option
@pass_options
def plan(options: Options, *, force_check: bool, reset_serials: bool, as_json: bool) -> None:
    """Show what the next run would update, remove and retry, and why; do nothing.

    The pages of up to 300 planned projects are read, to count their new files and bytes.

    Exit status 1 also where removals wait for a confirmation, or the allowlist has a name that
    upstream does not have.
    """
    from frumious.bundles.target import check_follows_upstream
    from frumious.cli.confirmation import doubtful_text, stopped_text
    from frumious.cli.forecast import make_forecast
    from frumious.cli.process import with_mirror
    from frumious.planning.absent_names import absent_names, absent_texts
    from frumious.planning.advisories import plan_advisories, together
    from frumious.planning.everything import release_json_text
    from frumious.planning.lists import follow_lists
    from frumious.planning.plan import plan_changes

    async def work(mirror: Mirror) -> tuple[Forecast, list[str], str | None]:
        await check_follows_upstream(mirror)
        mirror = await follow_lists(mirror, store=False)
        update = await plan_advisories(mirror)
        planned = await plan_changes(mirror, force=force_check, reset=reset_serials)
        after = None if update is None else update.after
        forecast = await make_forecast(together(planned, update), mirror, after)
        absent = await absent_names(mirror, forecast.expected)
        warning = release_json_text(planned, mirror)
        return forecast, absent_texts(absent, mirror.selection), warning

    forecast, misspelt, warning = with_mirror(options, work)
    if as_json:
        import json

        click.echo(json.dumps(forecast.payload, indent=1))
    elif not options.quiet:
        for line in forecast.lines:
            click.echo(line)
    if warning and not options.quiet:
        click.echo(warning, err=True)
    if forecast.plan.regressed:
        raise click.ClickException(regressed_text(forecast.plan))
    planned = forecast.plan
    problems = [*misspelt, *doubtful_text(planned), *stopped_text(planned), *planned.problems]
    if problems:
        raise click.ClickException("\n".join(problems))


def regressed_text(plan: Plan) -> str:
    """Explain that upstream's serials went backwards, and what to do."""
    return f"{plan.regressed} ('frumious mirror --reset-serials' does that)"
