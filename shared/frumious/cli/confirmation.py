"""What has to be confirmed: removals, named before they happen, and a mirror of everything."""

from __future__ import annotations

import asyncio
import sys
from itertools import islice
from typing import TYPE_CHECKING, Final

import click

from frumious.cli.sizes import count
from frumious.planning.everything import everything_text, unconfirmed_projects

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.plans import Plan, Reason

_ADVICE: Final = "list projects as [allowlist] packages, or confirm with --all"
_ANSWERS: Final = {"y": True, "yes": True, "n": False, "no": False, "": False}
_SHOWN: Final = 50  # removals


class _Unconfirmed(click.ClickException):
    exit_code = 2


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
        if await _ask(f"Remove {count(len(waiting), 'project')}?"):
            planned = await plan(max(planned.stopped.removals, confirmed))
    if planned.starts and not quiet:
        _name("removes", planned.removals)
    return planned


async def confirm_everything(plan: Plan, mirror: Mirror) -> None:
    """Ask on a terminal whether a new mirror is to have the many projects of its first plan.

    Where the configuration lists no projects, that may be all of PyPI, and a mistake.

    Raises:
        ClickException: nobody has confirmed that; exit code 2.
    """
    projects = await unconfirmed_projects(plan, mirror)
    if not projects:
        return
    text = everything_text(projects)
    if not is_terminal():
        msg = f"{text}; {_ADVICE}"
        raise _Unconfirmed(msg)
    if not await _ask(f"{text}. Go on?"):
        msg = f"nothing was mirrored; {_ADVICE}"
        raise _Unconfirmed(msg)


async def _ask(question: str) -> bool:
    """Ask a person on a terminal, until the answer is yes or no; its end (Ctrl-D) is a no.

    Ctrl-C and SIGTERM end the command, since the event loop goes on.
    """
    loop, typed = asyncio.get_running_loop(), asyncio.Event()
    while True:
        click.echo(f"{question} [y/N]: ", nl=False, err=True)
        typed.clear()
        loop.add_reader(sys.stdin.fileno(), typed.set)
        try:
            await typed.wait()
        except asyncio.CancelledError:
            click.echo(err=True)
            raise
        finally:
            loop.remove_reader(sys.stdin.fileno())
        line = sys.stdin.readline()
        if not line.endswith("\n"):
            click.echo(err=True)
        answer = line.strip().lower()
        if answer in _ANSWERS:
            return _ANSWERS[answer]
        click.echo("Please answer y or n.", err=True)


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
