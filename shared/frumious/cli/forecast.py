"""What the next run would do: the plan, what an interrupted run left, and what is lagging."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.cli.outcome import (
    held_back_lines,
    held_back_payload,
    lagging_payload,
    next_retry,
)
from frumious.cli.sizes import count, size
from frumious.clock import utc
from frumious.concurrency import run_all
from frumious.model.jobs import AllowedRemoval, Job, Outcome
from frumious.model.plans import Reason
from frumious.model.types import RunId
from frumious.planning.plan import summary
from frumious.state.held_back import read_held_back

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.advisories import Advisories
    from frumious.model.cooldown import HeldBackFile
    from frumious.model.plans import Plan
    from frumious.model.runs import Lagging
    from frumious.model.types import Json, JsonObject
    from frumious.syncing.preview import Preview

_MAX_PREVIEWED: Final = 300  # projects whose pages are read
_MAX_SHOWN: Final = 50  # projects of each kind
_IDLE: Final = frozenset({Outcome.UNCHANGED, Outcome.ABSENT, Outcome.EXCLUDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What the next run would do."""

    plan: Plan  # without the projects that turn out not to have changed
    now: float
    previews: Mapping[NormalizedName, Preview] = field(default_factory=dict)
    complete: bool = True  # whether all projects have a preview
    checked: Sequence[NormalizedName] = ()  # planned, and not changed
    absent: Sequence[NormalizedName] = ()  # planned, and upstream does not have them
    pending: Sequence[NormalizedName] = ()  # of runs that were interrupted
    unsent: int = 0  # jobs of a large plan that wait for their turn
    lagging: Mapping[NormalizedName, Lagging] = field(default_factory=dict)  # and not due
    held_back: HeldBackFile | None = None  # by the cooldown, as the last run left it; None: nothing

    @property
    def expected(self) -> frozenset[NormalizedName]:
        """The projects that the next run brings, or that lag."""
        absent = {
            project
            for project, preview in self.previews.items()
            if preview.outcome is Outcome.ABSENT
        }
        return frozenset({*self.plan.jobs, *self.pending, *self.lagging} - absent - {*self.absent})

    @property
    def payload(self) -> JsonObject:
        """All of it as JSON."""
        pending: list[Json] = [*self.pending]
        checked: list[Json] = [*self.checked]
        absent: list[Json] = [*self.absent]
        previews = self.previews.items()
        return {
            **summary(self.plan),
            "pending": pending,
            "unsent": self.unsent,
            "checked": checked,
            "absent": absent,
            "files": {project: _preview_payload(each) for project, each in sorted(previews)},
            "complete": self.complete,
            "new_files": sum(each.new_files for _, each in previews),
            "new_bytes": sum(each.new_bytes for _, each in previews),
            "lagging": lagging_payload(self.lagging),
            **({"held_back": held_back_payload(self.held_back)} if self.held_back else {}),
            "stopped": None if self.plan.stopped is None else self.plan.stopped.message,
        }

    @property
    def lines(self) -> Iterator[str]:
        """All of it as text."""
        plan, reasons = self.plan, self.plan.reasons
        kinds: dict[str, list[NormalizedName]] = {"update": [], "remove": [], "retry": []}
        for project, reason in sorted(reasons.items()):
            kind = "retry" if project in plan.retries else "update"
            kinds["remove" if reason.removes else kind].append(project)
        kinds["continue"] = [*self.pending]
        kinds["confirm"] = sorted(self.plan.withheld)
        yield from self._kind_lines(kinds)
        for project, entry in islice(sorted(self.lagging.items()), _MAX_SHOWN):
            yield f"{project}: lagging; {next_retry(entry, self.now)} ({entry.reason})"
        for project in self.absent[:_MAX_SHOWN]:
            yield f"{project}: upstream does not have it"
        if self.held_back is not None:
            yield from held_back_lines(self.held_back)
        if self.checked:
            yield f"{count(len(self.checked), 'project')} checked: unchanged."
        totals = [f"{len(projects):,} to {kind}" for kind, projects in kinds.items() if projects]
        totals += [f"{self.unsent:,} waiting for their turn"] if self.unsent else []
        if not totals:
            yield "Nothing to do: the next run would change nothing."
            return
        yield f"The next run: {', '.join(totals)}; {self._size()}."

    def _kind_lines(self, kinds: Mapping[str, Sequence[NormalizedName]]) -> Iterator[str]:
        for kind, projects in kinds.items():
            for project in projects[:_MAX_SHOWN]:
                reasons = self.plan.withheld if kind == "confirm" else self.plan.reasons
                reason = reasons.get(project) if kind != "continue" else None
                why = "an interrupted run left it" if reason is None else reason
                parts = [kind, *_parts(self.previews.get(project))]
                yield f"{project}: {', '.join(parts)} ({why})"
            if len(projects) > _MAX_SHOWN:
                yield f"and {len(projects) - _MAX_SHOWN:,} more to {kind}"

    def _size(self) -> str:
        """Return how much there is to store."""
        if not self.complete:
            return (
                f"files are counted for up to {_MAX_PREVIEWED} projects only,"
                " 'frumious estimate' estimates more"
            )
        previews = self.previews.values()
        files = sum(each.new_files for each in previews)
        bytes_ = sum(each.new_bytes for each in previews)
        return _files(files, bytes_, known=all(each.sizes_known for each in previews))


async def make_forecast(
    plan: Plan, mirror: Mirror, advisories: Advisories | None = None
) -> Forecast:
    """Find out what a plan comes to, and what earlier runs add; write nothing.

    `advisories` will count; None: those that count now.
    """
    ledger = mirror.ledger
    cursor = plan.base or await ledger.cursor()
    undone: Sequence[Job] = ()
    if cursor.runs and not plan.reset:
        from frumious.local import undone_jobs  # noqa: PLC0415 (imports all that does the work)

        await ledger.cursor()
        undone = await undone_jobs(mirror)
    lagging = await ledger.lagging() if cursor.lagging else {}
    jobs = {job.project: job for job in (*_jobs(plan), *undone)}
    complete = len(jobs) <= _MAX_PREVIEWED
    if advisories is None:
        advisories = await mirror.advisories.read(cursor.advisories.digest)
    previews = await _preview_all(jobs.values(), mirror, advisories) if complete and jobs else {}
    pending = sorted({job.project for job in undone})
    idle = {
        project: each.outcome
        for project, each in previews.items()
        if each.outcome in _IDLE and project not in pending
    }
    held_back = await read_held_back(mirror.storage) if cursor.ripening.revision else None
    reasons = {project: why for project, why in plan.reasons.items() if project not in idle}
    return Forecast(
        plan=replace(plan, reasons=reasons),
        now=mirror.clock.now(),
        previews={project: each for project, each in previews.items() if project not in idle},
        complete=complete,
        checked=sorted(name for name, outcome in idle.items() if outcome is not Outcome.ABSENT),
        absent=sorted(name for name, outcome in idle.items() if outcome is Outcome.ABSENT),
        pending=[project for project in pending if project not in reasons],
        unsent=sum(run.jobs for run in cursor.runs if run.sent is None),
        lagging={project: each for project, each in lagging.items() if project not in reasons},
        held_back=held_back,
    )


def _jobs(plan: Plan) -> Iterator[Job]:
    for project, serial in plan.jobs.items():
        if plan.reasons[project] is Reason.DELETED:
            continue  # whatever upstream has
        yield Job(
            RunId("plan"),
            project,
            serial,
            allowed_removal=plan.allowed_removals.get(project, AllowedRemoval.NOTHING),
            named=project in plan.named,
            migrating=plan.migrating,
            rewinding=project in plan.rewinding,
            delisted=project in plan.delisted,
        )


async def _preview_all(
    jobs: Iterable[Job], mirror: Mirror, advisories: Advisories
) -> dict[NormalizedName, Preview]:
    from frumious.syncing.preview import preview  # noqa: PLC0415 (not for an empty plan)

    turns = asyncio.Semaphore(mirror.config.workers)

    async def work(job: Job) -> tuple[NormalizedName, Preview]:
        async with turns:
            return job.project, await preview(job, mirror, advisories.of(job.project))

    return dict(await run_all(map(work, jobs)))


def _parts(preview: Preview | None) -> list[str]:
    """Return what a preview says, in a few words each."""
    if preview is None:
        return []
    parts = []
    if preview.new_files:
        known = preview.sizes_known
        parts.append(_files(preview.new_files, preview.new_bytes, known=known))
    if preview.held_back:
        until = f" until {utc(preview.ripens)}" if preview.ripens else ""
        parts.append(f"{count(preview.held_back, 'file')} held back{until}")
    if preview.unverified:
        fault = "" if preview.error else f" ({preview.fault})"
        parts.append(f"{count(preview.unverified, 'file')} with faults of attestations{fault}")
    if preview.removed_files:
        parts.append(f"{count(preview.removed_files, 'file')} removed")
    if preview.error:
        parts.append(f"would fail: {preview.error}")
    return parts or ["pages alone"]


def _files(files: int, bytes_: int, *, known: bool) -> str:
    if not files:
        return "no new files"
    if known:
        return f"{count(files, 'new file')}, {size(bytes_)}"
    return f"{count(files, 'new file')}, " + (f"over {size(bytes_)}" if bytes_ else "unknown size")


def _preview_payload(preview: Preview) -> JsonObject:
    return {
        "new_files": preview.new_files,
        "new_bytes": preview.new_bytes if preview.sizes_known else None,
        "removed_files": preview.removed_files,
        **({"held_back": preview.held_back} if preview.held_back else {}),
        **(
            {"unverified": preview.unverified, "fault": preview.fault} if preview.unverified else {}
        ),
        "error": preview.error or None,
    }
