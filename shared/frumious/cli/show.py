"""What the command shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rich.box import SIMPLE_HEAD
from rich.filesize import decimal
from rich.table import Table

from frumious.engine.work import counts

if TYPE_CHECKING:
    from frumious.engine.local import Done
    from frumious.model import JsonObject

_SHOWN = 50  # projects of each kind


def counts_text(said: JsonObject) -> str:
    """Say in a few words how large a plan is."""
    counts = cast("dict[str, int]", said["counts"])
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def plan_table(said: JsonObject) -> Table:
    """Show a plan, as `plan.told` tells it: fifty projects of each kind, and how many more."""
    counts = cast("dict[str, int]", said["counts"])
    table = Table("Project", "Would be", "Because", box=SIMPLE_HEAD)
    for kind, count in counts.items():
        projects = list(cast("dict[str, str]", said[kind]).items())[:_SHOWN]
        for project, reason in projects:
            table.add_row(project, kind, reason)
        if count > len(projects):
            table.add_row(f"and {count - len(projects)} more", kind, "")
    return table


def done_table(done: Done) -> Table:
    """Show what the runs of a process came to."""
    results = done.results.values()
    table = Table("Projects", "Updated", "Removed", "Failed", "Files", "Bytes", box=SIMPLE_HEAD)
    counted = counts(results)
    table.add_row(
        str(len(results)),
        str(counted["ProjectsUpdated"]),
        str(counted["ProjectsRemoved"]),
        str(counted["ProjectsFailed"]),
        str(counted["FilesStored"]),
        decimal(counted["BytesStored"]),
    )
    return table
