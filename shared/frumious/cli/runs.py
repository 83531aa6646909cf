"""Runs on one machine: shows how they go, and what became of them."""

from __future__ import annotations

import json
import time
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

import click

from frumious.bundles.target import check_follows_upstream
from frumious.cli.confirmation import doubtful_text, stopped_text
from frumious.cli.outcome import Tally, lagging_lines, lagging_payload, project_line
from frumious.cli.plan import regressed_text
from frumious.cli.process import with_mirror
from frumious.cli.progress import Progress
from frumious.errors import FrumiousError
from frumious.finalizing.finalize import finalize
from frumious.local import run_here
from frumious.meter import Meter
from frumious.model.notices import Notices
from frumious.planning.absent_names import absent_names, absent_texts
from frumious.planning.lists import failing_lists, follow_lists
from frumious.planning.notices import keep_notices
from frumious.planning.plan import plan_changes
from frumious.signing.checkpoints import check_secret_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from packaging.utils import NormalizedName

    from frumious.cli.options import Options
    from frumious.local import Done
    from frumious.mirror import Mirror
    from frumious.model.jobs import Result
    from frumious.model.plans import Plan, Reason
    from frumious.model.runs import Lagging
    from frumious.planning.advisories import Update

_CONSEQUENCE: Final = "the last good one counts; the log says more"
_EMPTY: Final = (
    "the mirror is empty: upstream lists no project that the configuration selects; check master"
    " and the filters"
)
_MAX_SHOWN: Final = 50  # lagging projects; 'frumious status' shows all
_MAX_ROUNDS: Final = 100  # in which needed projects are found; the next run goes on


class Reporter(Protocol):
    """Takes what becomes of jobs."""

    reasons: Mapping[NormalizedName, Reason]  # why projects are planned

    def __call__(self, jobs: int, result: Result | None) -> None:
        """Take the number of jobs so far, and the result of one."""


class _Reporter:
    """Shows what becomes of each job."""

    def __init__(self, progress: Progress, meter: Meter, tally: Tally, *, verbose: bool) -> None:
        self.reasons: Mapping[NormalizedName, Reason] = {}  # why projects are planned
        self._progress = progress
        self._meter = meter
        self._tally = tally
        self._verbose = verbose

    def __call__(self, jobs: int, result: Result | None) -> None:
        """Take the number of jobs so far, and the result of one."""
        self._progress.jobs = jobs
        if result is None:
            return
        self._progress.done += 1
        project = result.project
        stored = self._meter.take(project)
        self._tally.add(result, stored)
        line = project_line(result, stored, self.reasons.get(project))
        if line or self._verbose:
            text = line or f"{project}: {result.outcome}"
            self._progress.line(text, failed=result.error is not None)


async def no_advisories(_mirror: Mirror) -> Update | None:
    """Do without a look at the feed."""


async def _follow(
    mirror: Mirror, advisories: Callable[[Mirror], Awaitable[Update | None]], *, again: bool
) -> Mirror:
    """Return the mirror with the lists as they are now, if the whole mirror is planned.

    If not `again`, those of the last run will do.
    """
    if advisories is no_advisories or not (again or mirror.selection.unread):
        return mirror
    return await follow_lists(mirror)


def run(  # noqa: PLR0913 (all but two have a default)
    options: Options,
    plan: Callable[[Mirror], Awaitable[Plan]],
    *,
    advisories: Callable[[Mirror], Awaitable[Update | None]] = no_advisories,
    concerned: Collection[NormalizedName] | None = None,
    follows_upstream: bool = True,
    as_json: bool = False,
) -> None:
    """Carry out a plan, show how it goes, and exit with 1 if projects are lagging afterwards.

    What follows from `advisories` does not depend on the plan, nor on lists that cannot be read.
    With them, the lists that others keep are read anew. Only `concerned` projects count, if they
    are given. What `follows_upstream` is refused where bundles are imported.

    Raises:
        ClickException, FrumiousError: as for `with_mirror`.
    """
    tally, meter, started = Tally(), Meter(), time.monotonic()

    found: list[str] = []

    async def work(mirror: Mirror) -> tuple[Plan, Done, float]:
        if follows_upstream:
            await check_follows_upstream(mirror)
        async with Progress(meter, quiet=options.quiet) as progress:
            report = _Reporter(progress, meter, tally, verbose=options.verbose)
            planned, done, problems = await carry_out(mirror, plan, report, meter, advisories)
            found.extend(problems)
            return planned, done, mirror.clock.now()

    try:
        planned, done, now = with_mirror(options, work, exclusive=True)
    except FrumiousError as error:
        if as_json:
            click.echo(json.dumps({"error": str(error)}, indent=1))
        raise
    seconds = time.monotonic() - started
    lagging = {
        project: entry
        for project, entry in done.lagging.items()
        if concerned is None or project in concerned
    }
    absent = sorted(planned.named & tally.absent)
    problems = [f"{project}: neither upstream nor the mirror has it" for project in absent]
    problems += [*found, *_problems(planned)]
    if as_json:
        extra = {"lagging": lagging_payload(lagging), "problems": problems}
        click.echo(json.dumps({**tally.payload(seconds), **extra}, indent=1))
    elif not options.quiet:
        is_behind = bool(done.lagging) or done.stopped or bool(problems)
        click.echo(tally.summary(seconds, behind=is_behind))
    _show_lagging(lagging, () if options.quiet else tally.failed, now)
    for problem in problems:
        click.echo(problem, err=True)
    if lagging or done.stopped or problems:
        raise SystemExit(1)


async def carry_out(
    mirror: Mirror,
    plan: Callable[[Mirror], Awaitable[Plan]],
    report: Reporter,
    meter: Meter,
    advisories: Callable[[Mirror], Awaitable[Update | None]] = no_advisories,
) -> tuple[Plan, Done, list[str]]:
    """Carry out a plan; return the last one, what became of it, and what is wrong with the input.

    Raises:
        FrumiousError: there is no plan, or it cannot go on. Earlier runs are done nevertheless.
    """
    mirror = await _follow(mirror, advisories, again=False)
    update = await advisories(mirror)
    report.reasons = update.plan.reasons if update else {}
    try:
        mirror = await _follow(mirror, advisories, again=True)
        planned = await plan(mirror)
        if planned.reasons and mirror.config.changes is not None:
            await check_secret_key(mirror.config.changes)
    except FrumiousError:  # earlier runs are done whatever keeps this one from planning
        await run_here(None, mirror, report, meter, update)
        raise
    report.reasons = {**planned.reasons, **report.reasons}
    done = await run_here(planned, mirror, report, meter, update)
    planned, done = await _close(planned, done, mirror, report, meter)
    # Not of named projects.
    problems = [] if planned.base is None else await _input_problems(planned, done, mirror)
    return planned, done, problems


async def _close(
    plan: Plan, done: Done, mirror: Mirror, report: Reporter, meter: Meter
) -> tuple[Plan, Done]:
    """Plan what jobs have found to be needed, until nothing new is; return the last plan."""
    for _ in range(_MAX_ROUNDS):
        cursor = await mirror.ledger.known_cursor()
        if plan.base is None or not plan.starts or done.stopped or not cursor.closure.is_outdated:
            break
        plan = await plan_changes(mirror)
        report.reasons = {**report.reasons, **plan.reasons}
        done = await run_here(plan, mirror, report, meter)
    return plan, done


async def _input_problems(plan: Plan, done: Done, mirror: Mirror) -> list[str]:
    """Return what is wrong with advisories and lists, and keep what waits for a person."""
    problem = (await mirror.ledger.known_cursor()).advisories.problem
    absent = await absent_names(mirror, done.lagging)
    if await keep_notices(plan, absent, mirror):
        await finalize(mirror, cursor=await mirror.ledger.known_cursor())
    empty = [] if absent or plan.jobs or not await _is_empty(mirror) else [_EMPTY]
    feed = [] if problem is None else [f"{problem}: {_CONSEQUENCE}"]
    failing = Notices(lists=await failing_lists(mirror)).list_texts
    return [*feed, *failing, *absent_texts(absent, mirror.selection), *empty]


async def _is_empty(mirror: Mirror) -> bool:
    """Return whether no run has ever mirrored anything."""
    if (await mirror.ledger.known_cursor()).projects:
        return False
    _, index = await mirror.pages.read_root_index()
    return index is None


def _problems(plan: Plan) -> list[str]:
    regressed = [regressed_text(plan)] if plan.regressed else []
    return [*regressed, *doubtful_text(plan), *stopped_text(plan), *plan.problems]


def _show_lagging(
    lagging: Mapping[NormalizedName, Lagging], shown: Collection[NormalizedName], now: float
) -> None:
    """Name lagging projects on stderr; the reasons of those that are `shown` are known."""
    lines = lagging_lines(lagging, shown, now)
    for line in islice(lines, _MAX_SHOWN):
        click.echo(line, err=True)
    if len(lines) > _MAX_SHOWN:
        click.echo(f"and {len(lines) - _MAX_SHOWN:,} others: see 'frumious status'", err=True)
