"""Removals: named before they happen, and confirmed where that is necessary."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from packaging.utils import NormalizedName

    from frumious.model.plans import Plan, Reason

_SHOWN: Final = 50  # removals


async def confirm_plan(
    plan: Callable[[int], Awaitable[Plan]], confirmed: int, *, quiet: bool
) -> Plan:
    """Return a plan with `confirmed` removals; on a terminal, ask for those that wait.

    Unless `quiet`, whatever the plan removes has been named when it is returned.
    """
    planned = await plan(confirmed)
    if planned.stopped is not None and is_terminal():
        waiting = planned.withheld or planned.removals
        _name("would remove", waiting)
        click.echo(planned.stopped.message, err=True)
        if click.confirm(f"Remove {len(waiting)} projects?", err=True):
            planned = await plan(max(planned.stopped.removals, confirmed))
    if planned.starts and not quiet:
        _name("removes", planned.removals)
    return planned


def stopped_text(plan: Plan) -> list[str]:
    """Explain which removals wait, and how to confirm them, if any do."""
    if plan.stopped is None:
        return []
    option = f"'frumious mirror --confirm-removals {plan.stopped.removals}'"
    return [f"{plan.stopped.message} ('frumious plan' shows them, {option} confirms)"]


def doubtful_text(plan: Plan) -> list[str]:
    """Explain which missing pages are not believed, if there are any."""
    if not plan.doubtful:
        return []
    names = ", ".join(plan.doubtful[:_SHOWN])
    why = "its root index does not confirm that they are gone"
    return [
        f"upstream has no page of {names}, but {why}: they stay ('frumious delete' removes them)"
    ]


def is_terminal() -> bool:
    """Return whether a person can answer questions."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _name(verb: str, removals: Mapping[NormalizedName, Reason]) -> None:
    for project, reason in islice(sorted(removals.items()), _SHOWN):
        click.echo(f"{verb} {project}: {reason}", err=True)
    if len(removals) > _SHOWN:
        click.echo(f"{verb} {len(removals) - _SHOWN} more", err=True)
