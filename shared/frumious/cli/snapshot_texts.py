"""What `frumious snapshot` and `frumious status` show of snapshots."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from frumious.cli.console import stdout_console
from frumious.cli.sizes import count
from frumious.clock import utc

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from frumious.model.snapshots import Snapshot, Snapshots
    from frumious.model.types import JsonObject
    from frumious.snapshots.as_of import Pass
    from frumious.snapshots.create import Created
    from frumious.snapshots.diff import ProjectDiff

_SHOWN: Final = 20  # snapshots
_COLUMNS: Final = 5  # of the table, where no snapshot shows an earlier time
COUNTED: Final = 10_000  # pages of a snapshot: ten requests to S3


def pass_text(done: Pass) -> str:
    """Return what a pass over the pages has found."""
    undated = f", {done.undated:,} of them without an upload time" if done.undated else ""
    parts = {
        f"leaves out {count(done.newer, 'file')} uploaded later{undated}": done.newer,
        f"shows {count(done.back, 'file')} that left the live index": done.back,
        f"shows {count(done.yanked, 'file')} as yanked, which may have been later": done.yanked,
    }
    found = "; ".join(part for part, number in parts.items() if number)
    text = f"It has {count(done.pages, 'page')} of its own{f', {found}' if found else ''}."
    return f"{text} Files that the mirror no longer stores are missing."


def snapshot_lines(known: Snapshots) -> Iterator[str]:
    """Yield what `frumious status` says of the snapshots."""
    if known.served is not None:
        yield f"Rolled back: readers get {known.served}; 'frumious rollback --live' ends that"
    names = sorted(known.snapshots)
    for name in islice(names, _SHOWN):
        yield f"Snapshot {name}: {_description(known.snapshots[name])}"
    if len(names) > _SHOWN:
        yield f"and {len(names) - _SHOWN} more snapshots; 'frumious snapshot list' shows all"


def payload(each: Snapshot) -> JsonObject:
    """Return a snapshot as JSON."""
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
    serial = f", serial {each.serial}" if each.serial else ""
    shown = f", shows {utc(each.as_of)}" if each.as_of is not None else ""
    state = "" if _state(each) == "complete" else f", {_state(each)}"
    return f"created {utc(each.created)}{serial}{shown}{state}"


def show_created(name: str, created: Created) -> None:
    """Say that a snapshot was created."""
    if created.offered:
        click.echo(f"{name} is created: readers get it below /snapshot/{name}/simple/.")
    else:
        click.echo(
            f"{name} is created in web/snapshot/{name}/. Not every server can serve it"
            " (docs/snapshots.md); a stack with Snapshots=true does, with --store ARN."
        )
    snapshot = created.snapshot
    if snapshot.fixed > snapshot.created:
        click.echo(f"It may change until {utc(snapshot.fixed)}: jobs may be at work.")


def show_table(known: Snapshots, counts: Mapping[str, int]) -> None:
    """Show all snapshots, with the number of their own pages."""
    if not known.snapshots:
        click.echo("There are no snapshots; 'frumious snapshot create NAME' makes one.")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("Name", overflow="fold")
    table.add_column("Created\n(UTC)", no_wrap=True)
    if any(each.as_of is not None for each in known.snapshots.values()):
        table.add_column("As of\n(UTC)", no_wrap=True)
    table.add_column("Serial", justify="right", no_wrap=True)
    table.add_column("Own\npages", justify="right", no_wrap=True)
    table.add_column("State", no_wrap=True)
    for name, each in known.snapshots.items():
        pages = f"over {COUNTED:,}" if counts[name] > COUNTED else f"{counts[name]:,}"
        state = "readers get it" if known.served == name else _state(each)
        shown = [] if len(table.columns) == _COLUMNS else [_minute(each.as_of)]
        created = _minute(each.created)
        table.add_row(name, created, *shown, str(each.serial or ""), pages, state)
    stdout_console().print(table)


def _minute(when: float | None) -> str:
    return "" if when is None else utc(when)[:-4].replace("T", " ")


def diff_lines(each: ProjectDiff) -> Iterator[str]:
    """Yield the lines of a project that differs."""
    status = "" if each.status is None else f" {each.status[0]} -> {each.status[1]}"
    yield f"{each.project}:{status}"
    for filename in each.added:
        yield f"  + {filename}"
    for filename in each.removed:
        yield f"  - {filename}"
    for filename, what in each.changed.items():
        yield f"  ~ {filename}: {', '.join(name.replace('_', '-') for name in what)}"
