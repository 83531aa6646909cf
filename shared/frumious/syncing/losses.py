"""The breaker for files: how much upstream may take away of all projects within a day.

A job books what its project loses before it publishes the page, in one object for the whole mirror.
Jobs that lose nothing do not read it.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from frumious.errors import FrumiousError, Reason
from frumious.model import layout
from frumious.model.jobs import AllowedRemoval
from frumious.model.losses import Loss
from frumious.state.removed_files import Booked, read_removed_files
from frumious.syncing.comparison import MassLoss, lost_files
from frumious.upstream.failures import UpstreamUnavailable
from frumious.upstream.upstream import StalePage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.jobs import Job
    from frumious.model.losses import Losses
    from frumious.model.pages import File, ProjectPage
    from frumious.simple.values import ParsedPage
    from frumious.syncing.recovery import Attempt
    from frumious.upstream.upstream import Upstream


class TooManyLosses(FrumiousError):
    """Upstream has taken away more files of all projects than `max-losses` permits."""

    reason = Reason.LOSSES_STOPPED


async def unannounced_losses(
    job: Job, parsed: ParsedPage | None, current: ProjectPage | None, mirror: Mirror
) -> int:
    """Return how many files the project has lost in the last days without an event.

    That is read only where it is about to lose more of them; those do not count.
    """
    lost = _lost(parsed, current)
    if not lost or job.allowed_removal > AllowedRemoval.NOTHING:
        return 0
    removed, _ = await read_removed_files(job.project, mirror.storage)
    return removed.unannounced(_digest(lost), mirror.clock.now())


async def announced_removal(
    project: NormalizedName, since: int, upstream: Upstream
) -> AllowedRemoval:
    """Return what upstream's changelog allows to remove since a serial, if that is recent.

    The planner may not know these events: a page that came by name is older than the first run
    where upstream's caches were stale, and a lost first run takes its serial along. Nor does a
    repair know them, which begins while a removal is under way.
    """
    with suppress(UpstreamUnavailable):
        changes = await upstream.recent_changes(since)
        if changes is not None:
            return changes.allowed_removals.get(project, AllowedRemoval.NOTHING)
    return AllowedRemoval.NOTHING


async def check_beginning(job: Job, parsed: ParsedPage | None, upstream: Upstream) -> None:
    """Check that upstream's answer about a project that the mirror lacks has its last event.

    Where no planner knows which event that is, the changelog says whether there is a recent one.

    Raises:
        StalePage: the answer is older.
        UpstreamUnavailable: the changelog did not respond in time, or with an error.
    """
    project, serial = job.project, (parsed and parsed.page.serial) or 0
    if parsed is None and job.serial and job.allowed_removal < AllowedRemoval.PROJECT:
        allowed = await announced_removal(project, job.serial - 1, upstream)  # also at the serial
        if allowed < AllowedRemoval.PROJECT:
            msg = f"upstream has no page of {project!r} yet, and serial {job.serial} is due"
            raise StalePage(msg)
    if parsed is not None and not job.serial:
        await check_last_event(project, serial, upstream)


async def check_last_event(project: NormalizedName, serial: int, upstream: Upstream) -> None:
    """Check that upstream's page of a serial has the project's last event, if that is recent.

    Raises:
        StalePage: it has not.
        UpstreamUnavailable: the changelog did not respond in time, or with an error.
    """
    changes = await upstream.recent_changes(serial)
    last = 0 if changes is None else changes.projects.get(project, 0)
    if last > serial:
        msg = f"upstream's page of {project!r} is at serial {serial}, and an event at {last}"
        raise StalePage(msg)


def check_delisted(job: Job, page: ProjectPage | None) -> None:
    """Check the page of a project that upstream's root index of the job's serial does not list.

    It is gone, quarantined since an earlier serial, or new since.

    Raises:
        StalePage: the page is older than that index.
    """
    if page is None or page.quarantined or page.serial is None:
        return
    if page.serial < job.serial:
        msg = (
            f"upstream's page of {job.project!r} is at serial {page.serial}, and its root index of"
            f" serial {job.serial} does not list the project: a cache is stale"
        )
        raise StalePage(msg)


async def require_root_index(upstream: Upstream) -> None:
    """Make sure that upstream serves at all: a wrong `master` has no page of any project.

    Raises:
        MassLoss: it has no root index.
    """
    try:
        await upstream.root_serial()
    except UpstreamUnavailable as error:
        msg = f"upstream has no root index either, so nothing is removed: {error}"
        raise MassLoss(msg) from error


async def book_loss(
    attempt: Attempt, parsed: ParsedPage | None, current: ProjectPage | None, mirror: Mirror
) -> Booked | None:
    """Book the files that the mirror's page stops naming because upstream's does not name them.

    `parsed` is upstream's page before selection; None where the project is gone. Returns what to
    keep with the removed files, so that the loss is booked once. Returns None where there is no
    loss, where it is booked already or does not count: an operator has confirmed it, or another
    program began the mirror.

    Raises:
        TooManyLosses: the limit is reached; the page keeps its files until an operator confirms.
        Conflict: others book all the time.
    """
    job, now = attempt.job, mirror.clock.now()
    lost = _lost(parsed, current)
    is_private = parsed is not None and parsed.identities is not None
    if not lost or is_private or job.confirmed or job.migrating:
        return None
    digest = _digest(lost)
    removed, _ = await read_removed_files(job.project, mirror.storage)
    if removed.is_booked(digest, now):
        return None
    loss = Loss(len(lost), sum(each.size or 0 for each in lost))
    limit = mirror.config.max_losses.of(attempt.totals)
    permitted = False

    def book(losses: Losses) -> Losses:
        nonlocal permitted
        after, permitted = losses.booking(loss, limit, now)
        return after

    await mirror.ledger.change_losses(book)
    if not permitted:
        msg = (
            f"the mirror would lose {loss.files} files ({loss.bytes_} bytes) of {job.project!r},"
            f" and max-losses permits {limit.files} files or {limit.bytes_} bytes of all projects"
            " within a day; confirm a number of files to permit more"
        )
        raise TooManyLosses(msg)
    announced = parsed is None or job.allowed_removal > AllowedRemoval.NOTHING
    return Booked(digest, layout.hour(now), 0 if announced else loss.files)


def _lost(parsed: ParsedPage | None, current: ProjectPage | None) -> list[File]:
    """Return the files that upstream no longer names; one that it names in a wrong way is kept."""
    if parsed is None:
        return lost_files(None, current)
    return [
        file for file in lost_files(parsed.page, current) if file.filename not in parsed.refused
    ]


def _digest(files: Iterable[File]) -> str:
    names = "/".join(sorted(file.filename for file in files))
    return hashlib.sha256(names.encode()).hexdigest()[:16]
