"""What the command shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from frumious.cost import prices
from frumious.cost.estimate import bootstrap, month, total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frumious.cost.estimate import Item, Workload
    from frumious.model.plans import Plan
    from frumious.model.types import JsonObject

_SHOWN = 50  # projects of each kind


def counts_text(summary: JsonObject) -> str:
    """Return in a few words how large a plan is."""
    counts = cast("dict[str, int]", summary["counts"])
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def plan_table(summary: JsonObject) -> Table:
    """Show a plan's summary: fifty projects of each kind, and how many more there are."""
    counts = cast("dict[str, int]", summary["counts"])
    table = Table("Project", "Would be", "Because", box=SIMPLE_HEAD)
    for kind, count in counts.items():
        projects = list(cast("dict[str, str]", summary[kind]).items())[:_SHOWN]
        for project, reason in projects:
            table.add_row(project, kind, reason)
        if count > len(projects):
            table.add_row(f"and {count - len(projects)} more", kind, "")
    return table


def regressed_text(plan: Plan) -> str:
    """Explain that upstream's serials went backwards, and what to do."""
    return f"{plan.regressed} ('frumious mirror --reset-serials' does that)"


def print_costs(workload: Workload, basis: str) -> None:
    """Print the bills for filling a mirror and for a month."""
    console = Console(highlight=False)
    console.print(cost_table("To fill the mirror, once", bootstrap(workload)))
    console.print(cost_table("A month", month(workload)))
    console.print(
        f"By {basis}. List prices of {prices.REGION} as of {prices.AS_OF}, without free"
        " tiers. Seconds of Lambda are assumed.",
        style="dim",
    )


def cost_table(title: str, items: Sequence[Item]) -> Table:
    """Show a bill: the items that cost something, and their sum."""
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", show_footer=True)
    table.add_column("Item", footer="Sum")
    table.add_column("Quantity", justify="right")
    table.add_column("Unit")
    table.add_column("USD", justify="right", footer=f"{total(items):,.2f}")
    for item in items:
        if item.units:
            table.add_row(item.text, _quantity(item.units), item.price.unit, f"{item.usd:,.2f}")
    return table


def _quantity(units: float) -> str:
    return f"{units:,.0f}" if units >= 100 else f"{units:,.3g}"  # noqa: PLR2004
