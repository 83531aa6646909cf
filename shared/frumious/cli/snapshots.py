"""`frumious snapshot` and `frumious rollback`: the index as it was; imports what they need."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

import click

from frumious.cli.options import json_option, pass_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from frumious.cli.options import Options
    from frumious.mirror import Mirror
    from frumious.model.snapshots import Snapshot, Snapshots
    from frumious.model.types import JsonObject
    from frumious.snapshots.create import Created
    from frumious.snapshots.delete import Deleted
    from frumious.snapshots.diff import ProjectDiff

_MANY: Final = 20  # snapshots, above which each changed page costs noticeably more
_COUNTED: Final = 10_000  # pages of a snapshot: ten requests to S3


_store_option = click.option(
    "--store",
    envvar="FRUMIOUS_SNAPSHOT_STORE",
    show_envvar=True,
    metavar="ARN",
    help="Of a stack with Snapshots=true: its output SnapshotStore.",
)


@click.group(short_help="Keep the index as it is now; list, compare and delete snapshots.")
def snapshot() -> None:
    """Keep the index as it is now, for readers of /snapshot/NAME/simple/.

    A snapshot shares pages and files with the live index. It costs a copy of each page that changes
    afterwards, and keeps the files that it shows.
    """


@snapshot.command()
@click.argument("name")
@_store_option
@json_option
@pass_options
def create(options: Options, name: str, store: str | None, *, as_json: bool) -> None:
    """Keep the index as it is now, as the snapshot NAME.

    On a mirror in a folder that no other command uses, it never changes from then on. Otherwise
    jobs may be at work that do not know of it, so that it may change for another 20 minutes.
    """
    from frumious.cli.process import with_mirror_alone

    async def work(mirror: Mirror, alone: bool) -> Created:  # noqa: FBT001 (the callback's signature)
        from frumious.snapshots.create import create_snapshot
        from frumious.snapshots.readers import readers_of

        return await create_snapshot(name, mirror, readers_of(mirror.config, store), alone=alone)

    created = with_mirror_alone(options, work)
    if as_json:
        _print_json({"name": name, **_payload(created.snapshot)})
    elif not options.quiet:
        _show_created(name, created.snapshot)
    if created.number > _MANY and not options.quiet:
        click.echo(
            f"There are {created.number} snapshots: a page that changes is written and read once"
            " more for each. 'frumious snapshot delete' removes those that nobody needs.",
            err=True,
        )


@snapshot.command(name="list")
@json_option
@pass_options
def list_(options: Options, *, as_json: bool) -> None:
    """List the snapshots, with how many pages each keeps of its own."""
    from frumious.cli.process import with_mirror

    async def work(mirror: Mirror) -> tuple[Snapshots, Mapping[str, int]]:
        from frumious.snapshots.delete import kept_projects
        from frumious.state.snapshots import read_snapshots

        known = await read_snapshots(mirror.storage)
        counts = dict.fromkeys(known.snapshots, 0)
        for name in counts:
            async for _ in kept_projects(name, mirror):
                counts[name] += 1
                if counts[name] > _COUNTED:
                    break
        return known, counts

    known, counts = with_mirror(options, work)
    if as_json:
        rows: JsonObject = {
            name: {
                **_payload(each),
                "pages": None if counts[name] > _COUNTED else counts[name],
                "served": known.served == name,
            }
            for name, each in known.snapshots.items()
        }
        _print_json({"served": known.served, "snapshots": rows})
    else:
        _show_table(known, counts)


@snapshot.command()
@click.argument("name")
@_store_option
@json_option
@pass_options
def delete(options: Options, name: str, store: str | None, *, as_json: bool) -> None:
    """Delete the snapshot NAME, and the files that nothing else names."""
    from frumious.cli.process import with_mirror_alone

    async def work(mirror: Mirror, alone: bool) -> Deleted:  # noqa: FBT001 (the callback's signature)
        from frumious.snapshots.delete import delete_snapshot
        from frumious.snapshots.readers import readers_of

        return await delete_snapshot(name, mirror, readers_of(mirror.config, store), alone=alone)

    deleted = with_mirror_alone(options, work)
    if as_json:
        _print_json(
            {"name": name, "pages": deleted.pages, "files": deleted.files, "later": deleted.later}
        )
    elif not options.quiet:
        from frumious.cli.sizes import count

        files = count(deleted.files, "file")
        when = f"{files} that the next runs delete" if deleted.later else files
        click.echo(f"{name} is deleted: {count(deleted.pages, 'page')} of its own, {when}.")


@snapshot.command()
@click.argument("before")
@click.argument("after")
@json_option
@pass_options
def diff(options: Options, before: str, after: str, *, as_json: bool) -> None:
    """Show what differs from BEFORE to AFTER: snapshots, or "live" for the live index."""
    from frumious.cli.process import with_mirror

    async def work(mirror: Mirror) -> list[ProjectDiff]:
        from frumious.snapshots.diff import diff as compare

        found: list[ProjectDiff] = []
        async for each in compare(before, after, mirror):
            found.append(each)
            if not as_json:
                for line in _diff_lines(each):
                    click.echo(line)
        return found

    found = with_mirror(options, work)
    if as_json:
        projects: JsonObject = {
            each.project: {
                "added": [*each.added],
                "removed": [*each.removed],
                "changed": {name: [*what] for name, what in each.changed.items()},
                **({} if each.status is None else {"status": [*each.status]}),
            }
            for each in found
        }
        _print_json({"before": before, "after": after, "projects": projects})
    elif not options.quiet:
        from frumious.cli.sizes import count

        click.echo(f"{count(len(found), 'project')} differ from {before} to {after}.", err=True)


@click.command(short_help="Let readers get a snapshot as the live index.")
@click.argument("name", required=False)
@click.option("--live", is_flag=True, help="Let them get the live index again.")
@_store_option
@json_option
@pass_options
def rollback(
    options: Options, name: str | None, store: str | None, *, live: bool, as_json: bool
) -> None:
    """Let readers of /simple/ get the snapshot NAME, until 'frumious rollback --live'.

    The mirror goes on to follow upstream. This needs no lock, and takes effect at once; caches may
    keep a page for the time that its Cache-Control says.
    """
    from frumious.cli.process import with_mirror

    if live == (name is not None):
        msg = "give either the name of a snapshot or --live"
        raise click.UsageError(msg)

    async def work(mirror: Mirror) -> str | None:
        from frumious.snapshots.readers import readers_of
        from frumious.snapshots.rollback import roll_back, roll_forward

        readers = readers_of(mirror.config, store)
        if name is None:
            return await roll_forward(mirror, readers)
        await roll_back(name, mirror, readers)
        return None

    before = with_mirror(options, work)
    if as_json:
        _print_json({"served": name})
    elif not options.quiet:
        if name is not None:
            click.echo(f"Readers of /simple/ get {name}; 'frumious rollback --live' ends that.")
        else:
            since = f", and no longer {before}" if before else " already"
            click.echo(f"Readers of /simple/ get the live index{since}.")


def snapshot_lines(known: Snapshots) -> Iterator[str]:
    """Yield what `frumious status` says of the snapshots."""
    if known.served is not None:
        yield f"Rolled back: readers get {known.served}; 'frumious rollback --live' ends that"
    names = sorted(known.snapshots)
    for name in islice(names, _MANY):
        yield f"Snapshot {name}: {_description(known.snapshots[name])}"
    if len(names) > _MANY:
        yield f"and {len(names) - _MANY} more snapshots; 'frumious snapshot list' shows all"


def _payload(each: Snapshot) -> JsonObject:
    from frumious.clock import utc

    return {
        "created": utc(each.created),
        "fixed": utc(each.fixed),
        "as_of": None if each.as_of is None else utc(each.as_of),
        "serial": each.serial or None,
        "state": _state(each),
    }


def _state(each: Snapshot) -> str:
    if each.deleting:
        return "deleting"
    return "creating" if each.creating else "complete"


def _description(each: Snapshot) -> str:
    from frumious.clock import utc

    serial = f", serial {each.serial}" if each.serial else ""
    shown = f", shows {utc(each.as_of)}" if each.as_of is not None else ""
    state = "" if _state(each) == "complete" else f", {_state(each)}"
    return f"created {utc(each.created)}{serial}{shown}{state}"


def _show_created(name: str, created: Snapshot) -> None:
    from frumious.clock import utc

    click.echo(f"{name} is created: readers get it below /snapshot/{name}/simple/.")
    if created.fixed > created.created:
        click.echo(f"It may change until {utc(created.fixed)}: jobs may be at work.")


def _show_table(known: Snapshots, counts: Mapping[str, int]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from frumious.clock import utc

    if not known.snapshots:
        click.echo("There are no snapshots; 'frumious snapshot create NAME' makes one.")
        return
    table = Table("Name", "Created", "Shows", box=SIMPLE_HEAD)
    table.add_column("Serial", justify="right")
    table.add_column("Own pages", justify="right")
    table.add_column("State")
    for name, each in known.snapshots.items():
        pages = f"over {_COUNTED:,}" if counts[name] > _COUNTED else f"{counts[name]:,}"
        state = "readers get it" if known.served == name else _state(each)
        shown = utc(each.created if each.as_of is None else each.as_of)
        table.add_row(name, utc(each.created), shown, str(each.serial or ""), pages, state)
    Console(highlight=False).print(table)


def _diff_lines(each: ProjectDiff) -> Iterator[str]:
    status = "" if each.status is None else f" {each.status[0]} -> {each.status[1]}"
    yield f"{each.project}:{status}"
    for filename in each.added:
        yield f"  + {filename}"
    for filename in each.removed:
        yield f"  - {filename}"
    for filename, what in each.changed.items():
        yield f"  ~ {filename}: {', '.join(name.replace('_', '-') for name in what)}"


def _print_json(payload: JsonObject) -> None:
    import json

    click.echo(json.dumps(payload, indent=1))
