"""`frumious snapshot` and `frumious rollback`: the index as it was; imports what they need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from frumious.cli.options import json_option, pass_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from frumious.cli.options import Options
    from frumious.mirror import Mirror
    from frumious.model.snapshots import Snapshots
    from frumious.model.types import JsonObject
    from frumious.snapshots.as_of import Pass
    from frumious.snapshots.create import Created
    from frumious.snapshots.delete import Deleted
    from frumious.snapshots.diff import ProjectDiff

_MANY: Final = 20  # snapshots, above which each changed page costs noticeably more
_PASS: Final = ("pages", "newer", "undated", "yanked", "back")


_store_option = click.option(
    "--store",
    envvar="FRUMIOUS_SNAPSHOT_STORE",
    show_envvar=True,
    metavar="ARN",
    help="Of a stack with Snapshots=true: its output SnapshotStore. Later commands know it.",
)


@click.group(short_help="Keep the index as it is now; list, compare and delete snapshots.")
def snapshot() -> None:
    """Keep the index as it is now, for readers of /snapshot/NAME/simple/.

    A snapshot shares pages and files with the live index. It costs a copy of each page that changes
    afterwards, and keeps the files that it shows.
    """


@snapshot.command()
@click.argument("name")
@click.option(
    "--as-of",
    metavar="TIME",
    callback=lambda _context, _parameter, value: value and _moment(value),
    help="Keep it as it was then: a date (all of that day) or a time, in UTC.",
)
@_store_option
@json_option
@pass_options
def create(
    options: Options, name: str, as_of: float | None, store: str | None, *, as_json: bool
) -> None:
    """Keep the index as it is now, as the snapshot NAME.

    On a mirror in a folder that no other command uses, it never changes from then on. Otherwise
    jobs may be at work that do not know of it, so that it may change for another 20 minutes.

    --as-of shows the files that upstream had by that time and that are still stored. Whether they
    were yanked then is not known.
    """
    from frumious.cli.process import with_mirror_alone

    async def work(mirror: Mirror, alone: bool) -> tuple[Created, Pass | None]:  # noqa: FBT001 (the callback's signature)
        from frumious.snapshots.readers import open_readers

        readers = await open_readers(mirror, store)
        if as_of is None:
            from frumious.snapshots.create import create_snapshot

            return await create_snapshot(name, mirror, readers, alone=alone), None
        from frumious.cli.progress import Progress
        from frumious.meter import Meter
        from frumious.snapshots.as_of import create_as_of

        async with Progress(Meter(), quiet=options.quiet) as progress:

            def begin(pages: int, older: str | None, wait: float) -> None:
                progress.jobs = pages
                for line in _pass_lines(pages, older, wait):
                    progress.line(line)

            def count_page() -> None:
                progress.done += 1

            return await create_as_of(
                name, as_of, mirror, readers, alone=alone, on_begin=begin, on_page=count_page
            )

    from frumious.cli.snapshot_texts import pass_text, payload, show_created

    created, done = with_mirror_alone(options, work)
    if as_json:
        found = {} if done is None else {key: getattr(done, key) for key in _PASS}
        _print_json({"name": name, **payload(created.snapshot), **found})
    elif not options.quiet:
        show_created(name, created)
        if done is not None:
            click.echo(pass_text(done))
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
        from frumious.cli.snapshot_texts import COUNTED
        from frumious.snapshots.delete import kept_projects
        from frumious.state.snapshots import read_snapshots

        known = await read_snapshots(mirror.storage)
        counts = dict.fromkeys(known.snapshots, 0)
        for name in counts:
            async for _ in kept_projects(name, mirror):
                counts[name] += 1
                if counts[name] > COUNTED:
                    break
        return known, counts

    known, counts = with_mirror(options, work)
    from frumious.cli.snapshot_texts import COUNTED, payload, show_table

    if as_json:
        rows: JsonObject = {
            name: {
                **payload(each),
                "pages": None if counts[name] > COUNTED else counts[name],
                "served": known.served == name,
            }
            for name, each in known.snapshots.items()
        }
        _print_json({"served": known.served, "snapshots": rows})
    else:
        show_table(known, counts)


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
        from frumious.snapshots.readers import open_readers

        readers = await open_readers(mirror, store)
        return await delete_snapshot(name, mirror, readers, alone=alone)

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
        from frumious.cli.snapshot_texts import diff_lines
        from frumious.snapshots.diff import diff as compare

        found: list[ProjectDiff] = []
        async for each in compare(before, after, mirror):
            found.append(each)
            if not as_json:
                for line in diff_lines(each):
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
        from frumious.snapshots.readers import open_readers
        from frumious.snapshots.rollback import roll_back, roll_forward

        readers = await open_readers(mirror, store)
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


def _moment(text: str) -> float:
    from frumious.selection.cooldown import last_moment

    try:
        return last_moment(text)
    except ValueError as error:
        msg = f"{text!r:.80} {error}"
        raise click.BadParameter(msg) from error


def _pass_lines(pages: int, older: str | None, wait: float) -> Iterator[str]:
    """Yield what a pass over the pages is going to take."""
    from frumious.cli.sizes import count, duration

    basis = f", which have changed since the snapshot {older}" if older else ", all there are"
    yield f"Reads {count(pages, 'page')}{basis}."
    if wait:
        why = "for jobs that may be at work; Ctrl-C, and run it again later."
        yield f"Waits {duration(wait)} {why}"


def _print_json(payload: JsonObject) -> None:
    import json

    click.echo(json.dumps(payload, indent=1))
