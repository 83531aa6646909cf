"""What has to be confirmed: removals, named before they happen, and a mirror of everything."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Final

import click

from frumious.planning.everything import everything_text, unconfirmed_projects

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
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
        waiting = planned.waiting
        _name("would remove", waiting)
        click.echo(planned.stopped.message, err=True)
        if click.confirm(f"Remove {len(waiting)} projects?", err=True):
            planned = await plan(max(planned.stopped.removals, confirmed))
    if planned.starts and not quiet:
        _name("removes", planned.removals)
    return planned


async def confirm_everything(plan: Plan, mirror: Mirror) -> None:
    """Ask on a terminal whether a new mirror is to have the many projects of its first plan.

    Where the configuration lists no projects, that may be all of PyPI, and a mistake.

    Raises:
        UsageError: nobody has confirmed that.
    """
    projects = await unconfirmed_projects(plan, mirror)
    if not projects:
        return
    text = everything_text(projects)
    if is_terminal() and click.confirm(f"{text}. Go on?", err=True):
        return
    msg = f"{text}; list projects as [allowlist] packages, or confirm with --all"
    raise click.UsageError(msg)


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
