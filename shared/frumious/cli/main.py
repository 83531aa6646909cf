"""The command: the mirror's verbs, on one machine.

Each verb imports what it needs when it runs, so that nobody waits for the imports of the others.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from frumious import __version__
from frumious.cli.bundles import export, import_, sync_to
from frumious.cli.delete import delete
from frumious.cli.doctor import doctor
from frumious.cli.downloads import downloads
from frumious.cli.explain import explain
from frumious.cli.follow import follow
from frumious.cli.keys import keys
from frumious.cli.options import Verbs, common_options, everything_option, json_option, pass_options
from frumious.cli.plan import plan
from frumious.cli.pythons import pythons
from frumious.cli.serve import serve
from frumious.cli.snapshots import rollback, snapshot
from frumious.cli.status import status
from frumious.cli.tokens import token
from frumious.cli.verify import verify

if TYPE_CHECKING:
    from frumious.cli.estimate import Measured
    from frumious.cli.options import Options
    from frumious.config.settings import Config
    from frumious.mirror import Mirror
    from frumious.model.plans import Plan
    from frumious.upstream.upstream import Upstream

TEMPLATE: Final = Path(__file__).with_name("template.conf")  # docs/configuration.md has all options
_SHELLS = ("bash", "zsh", "fish")


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@common_options
@click.version_option(__version__, prog_name="frumious")
def main() -> None:
    """Mirror PyPI, or a part of it, into a folder, an S3 bucket or a Swift container.

    \b
    To begin with:
      frumious init           writes a mirror.conf to look through
      frumious plan           shows what would be done
      frumious mirror         does it; from cron, again and again

    Exit status: 0 when all went well, 1 when projects are lagging or something else failed, 2 for
    a configuration or a command line that cannot be used, 130 after Ctrl-C.
    """  # noqa: D301 - click's sign for lines that stay as they are


main.add_command(delete)
main.add_command(doctor)
main.add_command(downloads)
main.add_command(explain)
main.add_command(export)
main.add_command(import_)
main.add_command(keys)
main.add_command(follow)
main.add_command(plan)
main.add_command(pythons)
main.add_command(rollback)
main.add_command(token)
main.add_command(serve)
main.add_command(snapshot)
main.add_command(status)
main.add_command(sync_to)
main.add_command(verify)


@main.command()
@click.option("--force-check", is_flag=True, help="Check every project, changed or not.")
@click.option(
    "--confirm-removals",
    type=click.IntRange(min=0),
    default=0,
    metavar="NUMBER",
    help="Let this run remove up to so many projects; on a terminal the command asks for it.",
)
@click.option(
    "--confirm-losses",
    type=click.IntRange(min=0),
    default=0,
    metavar="FILES",
    help="Let upstream take away so many files within a day, though max-losses is reached.",
)
@click.option(
    "--reset-serials",
    is_flag=True,
    help="Count upstream's serials anew: it was restored from a backup, or master has changed.",
)
@everything_option
@json_option
@pass_options
def mirror(  # noqa: PLR0913 (one parameter for each option)
    options: Options,
    *,
    force_check: bool,
    confirm_removals: int,
    confirm_losses: int,
    reset_serials: bool,
    everything: bool,
    as_json: bool,
) -> None:
    """Bring the mirror in step with upstream.

    What an interrupted run left undone is done first. Ctrl-C ends in order: what is done counts,
    the next run goes on.
    """
    from frumious.cli.confirmation import confirm_everything, confirm_plan
    from frumious.cli.runs import run
    from frumious.planning.advisories import plan_advisories
    from frumious.planning.everything import release_json_text
    from frumious.planning.plan import plan_changes
    from frumious.planning.retry import confirm_losses as permit_losses

    async def make_plan(mirror: Mirror) -> Plan:
        if confirm_losses:
            await permit_losses(mirror, confirm_losses)
        planned = await confirm_plan(
            lambda confirmed: plan_changes(
                mirror, force=force_check, reset=reset_serials, confirmed_removals=confirmed
            ),
            confirm_removals,
            quiet=options.quiet,
        )
        warning = release_json_text(planned, mirror)
        if warning and not options.quiet:
            click.echo(warning, err=True)
        if not everything:
            await confirm_everything(planned, mirror)
        return planned

    run(
        options,
        make_plan,
        advisories=lambda mirror: plan_advisories(mirror, confirmed=confirm_removals),
        as_json=as_json,
    )


@main.command(short_help="Bring the named projects in step with upstream.")
@click.argument("projects", nargs=-1, required=True, metavar="PROJECT...")
@click.option(
    "--may-lose",
    "allowed_removal",
    is_flag=True,
    help="Believe upstream when most of their files are gone.",
)
@json_option
@pass_options
def sync(
    options: Options, projects: tuple[str, ...], *, allowed_removal: bool, as_json: bool
) -> None:
    """Bring the named projects in step with upstream, past the filters of projects.

    Projects that the configuration does not select stay in the mirror, and are refreshed with the
    others, until 'frumious delete' removes them.
    """
    from frumious.cli.runs import run
    from frumious.planning.named import InvalidProject, request
    from frumious.planning.plan import plan_projects

    try:
        planned = plan_projects(projects, allowed_removal=allowed_removal)
    except InvalidProject as error:
        raise click.BadParameter(str(error)) from error

    async def make_plan(mirror: Mirror) -> Plan:
        await request(mirror, planned.named)
        return planned

    run(options, make_plan, concerned=planned.named, as_json=as_json)


@main.command(short_help="Let the next run retry lagging projects.")
@click.argument("projects", nargs=-1, metavar="[PROJECT]...")
@pass_options
def retry(options: Options, projects: tuple[str, ...]) -> None:
    """Let the next run take up lagging projects, all or the named ones, without their pause."""
    from packaging.utils import canonicalize_name

    from frumious.cli.process import with_mirror
    from frumious.cli.sizes import count
    from frumious.planning.retry import retry as make_due

    async def work(mirror: Mirror) -> None:
        due = await make_due(mirror, projects or None)
        click.echo(f"The next run retries {count(len(due), 'project')}.")
        for project in due:
            click.echo(f"  {project}")
        for name in projects:
            if canonicalize_name(name) not in due:
                click.echo(f"{name} is not lagging", err=True)

    with_mirror(options, work)


@main.command(short_help="Estimate what the mirror costs as a stack in AWS.")
@click.option("--projects", type=click.IntRange(min=0), help="Projects, instead of upstream's.")
@click.option("--files", type=click.FloatRange(min=0), help="Files of all projects.")
@click.option("--bytes", "bytes_", type=click.FloatRange(min=0), help="Bytes of all files.")
@click.option("--changes-per-day", type=click.FloatRange(min=0), help="Projects that change.")
@click.option(
    "--downloads-gb",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="GB that clients download in a month.",
)
@click.option(
    "--planner-minutes",
    type=click.FloatRange(min=1),
    default=1.0,
    show_default=True,
    help="Minutes between two ticks of the planner (PlannerRate).",
)
@click.option(
    "--snapshots",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Snapshots that the mirror keeps.",
)
@json_option
@pass_options
def estimate(  # noqa: PLR0913, PLR0917 (one parameter for each option)
    options: Options,
    projects: int | None,
    files: float | None,
    bytes_: float | None,
    changes_per_day: float | None,
    downloads_gb: float,
    planner_minutes: float,
    snapshots: int,
    *,
    as_json: bool,
) -> None:
    """Estimate what the mirror costs as a stack in AWS: to fill it, and in a month.

    Without --projects, upstream is asked what mirror.conf selects: the pages of up to 200 listed
    projects, or the root index and averages.
    """
    from frumious.cli.estimate import Measured, average, measure, summary, with_numbers

    async def work(upstream: Upstream, config: Config) -> Measured:
        from frumious.mirror import CLOCK
        from frumious.planning.lists import read_lists

        lists = await read_lists(config, CLOCK)
        found = await measure(upstream, config.selection.with_lists(lists))
        return with_numbers(
            found,
            feed=config.changes is not None,
            release_json=config.release_json,
            shards=config.root_index_shards,
        )

    if projects is None:
        from frumious.cli.process import with_upstream

        measured = with_upstream(options, work)
    else:
        measured = Measured(average(projects), "the given numbers; others by PyPI's averages")
    if files is not None and bytes_ is None:
        bytes_ = files * measured.workload.bytes_per_file
    measured = with_numbers(
        measured,
        files=files,
        bytes_=bytes_,
        changes_per_day=changes_per_day,
        downloads_gb=downloads_gb,
        planner_minutes=planner_minutes,
        snapshots=snapshots,
    )
    if as_json:
        import json

        click.echo(json.dumps(summary(measured), indent=1))
        return
    from frumious.cli.tables import print_costs

    print_costs(measured.workload, measured.basis)


@main.command()
@pass_options
def init(options: Options) -> None:
    """Write a commented mirror.conf to begin with."""
    path = options.path
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE.read_text(encoding="utf-8"))
    except FileExistsError as error:
        msg = f"{str(path)!r} exists, and stays as it is; -c names another"
        raise click.ClickException(msg) from error
    except OSError as error:
        msg = f"{str(path)!r} cannot be written: {error.strerror}"
        raise click.ClickException(msg) from error
    click.echo(f"{path} is written: look through it, then try 'frumious -c {path} plan'.")


@main.command(short_help="Print the script that completes this command in a shell.")
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print what makes a shell complete this command: eval "$(frumious completion bash)"."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:  # pragma: no cover - click knows them all
        raise click.BadParameter(shell)
    click.echo(kind(main, {}, "frumious", "_FRUMIOUS_COMPLETE").source())
