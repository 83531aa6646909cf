"""Whether an open run is finished: what its reports mean for it. Pure, but for `review_run`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.errors import Reason
from frumious.model.jobs import Outcome, Report, Result, failure
from frumious.model.runs import RunProgress
from frumious.state.objects import LedgerCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.model.runs import Lagging, OpenRun
    from frumious.state.ledger import Ledger

_PATIENCE: Final = 120  # seconds that a run waits for projects that are known to fail
# Of several reports of one job the first counts: what brought the project in step, if anything.
_PRECEDENCE: Final = {Outcome.FAILED: 1, Outcome.RETRY_LATER: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReview:
    """An open run after the reports of one tick."""

    entry: OpenRun
    until: int | None
    progress: RunProgress
    etag: str  # of the progress that is stored; empty: none is
    changed: bool  # whether it differs from that
    finished: bool
    failures: Sequence[Report]  # of jobs that the run no longer waits for


async def review_run(  # noqa: PLR0913 (what decides)
    entry: OpenRun,
    reports: Iterable[Report],
    lagging: Mapping[NormalizedName, Lagging],
    ledger: Ledger,
    *,
    now: float,
    run_deadline: float,
) -> RunReview | None:
    """Count a run's reports, and find out whether it still waits for any; None: nothing to say.

    It no longer waits for projects that are known to fail once two minutes have passed, nor for
    any once `run_deadline` seconds have: messages can be lost.

    Raises:
        LedgerCorrupt: its plan is gone or damaged.
    """
    reports = list(reports)
    age = 0.0 if entry.sent is None else now - entry.sent
    if not reports and age < _PATIENCE:
        return None
    run = stored = None
    done = (report for report in reports if report.result.outcome is not Outcome.RETRY_LATER)
    if not entry.jobs or len({report.job.project for report in done}) < entry.jobs:
        stored = await ledger.progress(entry.run)  # else what was counted before is counted again
    if stored is None:
        run = await ledger.plan(entry.run)
        stored = RunProgress.of(run), ""
    before, etag = stored
    progress, failures = count_reports(before, reports)
    reasons = {
        project: reason or (lagging[project].reason if project in lagging else "")
        for project, reason in progress.pending.items()
    }
    only_failing = age >= _PATIENCE and all(reasons.values())
    finished = entry.sent is not None and (not reasons or only_failing or age >= run_deadline)
    if finished:
        run = run or await ledger.plan(entry.run)
        if unknown := reasons.keys() - run.jobs.keys():
            msg = f"the progress of run {entry.run} names {min(unknown)!r}, which is no job of it"
            raise LedgerCorrupt(msg)
        silence = Reason.NO_RESULT.explain(
            f"no result within {run_deadline:.0f} s: its message was lost, or its job is stuck"
        )
        given_up = [
            Report(job := run.job(project), failure(job, reason or silence))
            for project, reason in reasons.items()
        ]
        progress, _ = count_reports(progress, given_up)
        failures += given_up
    return RunReview(
        entry=entry,
        until=run.until if run is not None else None,
        progress=progress,
        etag=etag,
        changed=progress != before,
        finished=finished,
        failures=failures,
    )


def count_reports(
    progress: RunProgress, reports: Iterable[Report]
) -> tuple[RunProgress, list[Report]]:
    """Count the reports of jobs that a run waits for; return the failures among them as well.

    A failure of a job that has a result is not one: a message that came twice failed the second
    time.
    """
    pending = dict(progress.pending)
    counted: list[Result] = []
    failures: list[Report] = []
    for report in sorted(reports, key=lambda each: _PRECEDENCE.get(each.result.outcome, 0)):
        project, result = report.job.project, report.result
        if project not in pending:
            continue
        if result.outcome is Outcome.RETRY_LATER:
            pending[project] = result.error or ""
            continue
        del pending[project]
        counted.append(result)
        if not result.outcome.done:
            failures.append(report)
    after = replace(
        progress,
        pending=pending,
        projects=progress.projects + len(counted),
        errors=progress.errors + sum(result.error is not None for result in counted),
        files_added=progress.files_added + sum(result.files_added for result in counted),
        bytes_added=progress.bytes_added + sum(result.added_bytes for result in counted),
        files_removed=progress.files_removed + sum(result.files_removed for result in counted),
    )
    return after, failures
