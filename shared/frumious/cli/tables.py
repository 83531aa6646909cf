"""What the command shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from frumious.cli.console import stdout_console
from frumious.cost import prices
from frumious.cost.estimate import bootstrap, month, total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frumious.cost.estimate import Item, Workload


def print_costs(workload: Workload, basis: str) -> None:
    """Print the bills for filling a mirror and for a month."""
    console = stdout_console()
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
