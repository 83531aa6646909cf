"""Follow the feed of advisories: what it blocks leaves the mirror, the rest returns.

The plan is one of its own, and does not depend on upstream: malware waits neither until upstream
answers nor until somebody confirms other removals.
"""

from __future__ import annotations

import hashlib
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import field, structs

from frumious.model import layout
from frumious.model.advisories import Advisories, Feed, FeedProblem, Severity
from frumious.model.jobs import AllowedRemoval
from frumious.model.plans import Plan, Reason
from frumious.planning.dispatch import start_runs
from frumious.planning.named import read_named
from frumious.simple.values import InvalidPage, valid_etag
from frumious.state.advisories import NOTHING
from frumious.state.objects import LedgerCorrupt
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from packaging.utils import NormalizedName

    from frumious.config.advisories import AdvisoryPolicy
    from frumious.mirror import Mirror
    from frumious.model.advisories import Advisory, ProjectAdvisories, Waiver
    from frumious.model.runs import Cursor
    from frumious.model.types import RunId
    from frumious.planning.dispatch import Queue

logger = logging.getLogger(__name__)


class Update(Value, frozen=True):
    """What a look at the feed comes to."""

    feed: Feed  # what the cursor is to keep
    before: Advisories
    after: Advisories
    plan: Plan
    # What is blocked in addition, of projects that the mirror has.
    blocked: Mapping[NormalizedName, tuple[Advisory, ...]] = field(default_factory=dict)
    projects: int = 0  # that the mirror has
    previous: str = ""  # the digest of `before` in the cursor


@dataclass(frozen=True, slots=True)
class _Mirrored:
    """Which projects the mirror has, and which it may get by jobs that are planned already."""

    listed: frozenset[NormalizedName]
    possible: frozenset[NormalizedName]
    runs: frozenset[RunId]  # that were open before that was read


async def plan_advisories(mirror: Mirror, *, confirmed: int = 0) -> Update | None:
    """Look at the feed if that is due, and plan what follows; write nothing.

    `confirmed` is how many projects somebody has agreed to block. Returns None where nothing is to
    do.
    """
    if not await _is_due(await mirror.ledger.known_cursor(), mirror, confirmed):
        return None
    cursor = await mirror.ledger.cursor()  # another planner may have been faster
    if not await _is_due(cursor, mirror, confirmed):
        return None
    feed = cursor.at(mirror.clock.now()).advisories
    return structs.replace(await _look(feed, mirror, confirmed), previous=feed.digest)


async def _look(feed: Feed, mirror: Mirror, confirmed: int) -> Update:
    """Look at the feed, and return what follows."""
    policy, now = mirror.config.advisories, mirror.clock.now()
    before, is_lost = await _read_before(feed, mirror)
    if policy is None:
        return await _update(Feed(), before, NOTHING, mirror)
    waivers = policy.waivers_at(now)
    in_force = _fingerprint(waivers)
    after, problem = before, feed.problem
    if is_lost or _has_to_read(feed, policy, now, confirmed):
        after, problem = await _read_feed(policy, before, mirror)
        feed = structs.replace(feed, asked=now, policy=policy.fingerprint)
        if problem is None:
            feed = structs.replace(feed, read=now)
    feed = structs.replace(feed, waivers=in_force, problem=problem)
    if is_lost and problem is not None:  # nobody knows what is blocked: workers wait
        return Update(feed, before, before, Plan())
    after = structs.replace(after, waivers=waivers)
    update = await _update(feed, before, after, mirror)
    excess = _excess(update, policy, confirmed)
    if not excess:
        return update
    logger.error("%s: %s", FeedProblem.EXCESSIVE, excess)
    feed = structs.replace(feed, problem=FeedProblem.EXCESSIVE)
    return await _update(feed, before, structs.replace(before, waivers=waivers), mirror)


async def follow_advisories(
    mirror: Mirror, queue: Queue, *, confirmed: int = 0, deadline: float = math.inf
) -> Update | None:
    """Look at the feed if that is due, and do what follows, as the planner does at each tick."""
    update = await plan_advisories(mirror, confirmed=confirmed)
    if update is not None:
        await start_advisories(update, mirror, queue, deadline=deadline)
    return update


async def _is_due(cursor: Cursor, mirror: Mirror, confirmed: int) -> bool:
    """Return whether there is anything to do, by a cursor that may be outdated."""
    policy, now = mirror.config.advisories, mirror.clock.now()
    feed = cursor.at(now).advisories
    if policy is None:
        return feed != Feed()
    if _has_to_read(feed, policy, now, confirmed):
        return True
    _, is_lost = await _read_before(feed, mirror)
    return is_lost or feed.waivers != _fingerprint(policy.waivers_at(now))


def _has_to_read(feed: Feed, policy: AdvisoryPolicy, now: float, confirmed: int) -> bool:
    """Return whether the feed is to be read."""
    due = now >= feed.asked + policy.every or feed.policy != policy.fingerprint
    return due or (bool(confirmed) and feed.problem is FeedProblem.EXCESSIVE)


def _fingerprint(waivers: tuple[Waiver, ...]) -> str:
    return hashlib.sha256(repr(waivers).encode()).hexdigest()[:16]


async def start_advisories(
    update: Update,
    mirror: Mirror,
    queue: Queue,
    *,
    deadline: float = math.inf,
    in_process: bool = False,
) -> list[RunId]:
    """Let other advisories count, and send the jobs that follow; returns the runs.

    They count from the write that opens the runs. If another planner has opened runs since,
    nothing changes: the next tick looks again.

    Raises:
        QueueUnavailable: not all jobs were sent; the next tick sends them.
    """
    feed, previous = update.feed, update.previous
    changed = update.after != update.before or not feed.digest
    if changed:
        digest = await mirror.advisories.write(update.after) if feed != Feed() else ""
        feed = structs.replace(feed, digest=digest)
    plan = structs.replace(update.plan, advisories=feed, known_digest=previous)
    runs = await start_runs(plan, mirror, queue, deadline=deadline, in_process=in_process)
    if (await mirror.ledger.known_cursor()).advisories.digest != feed.digest:
        return []
    for project, advisories in update.blocked.items():
        ids = [each.id for each in advisories]
        logger.warning("project blocked", extra={"project": project, "advisories": ids})
    if changed:  # a worker may still know the previous one
        await mirror.advisories.prune({feed.digest, previous})
    return runs


def together(plan: Plan, update: Update | None) -> Plan:
    """Return what a plan and an update of the advisories come to, to show it."""
    if update is None:
        return plan
    return structs.replace(
        plan,
        jobs={**plan.jobs, **update.plan.jobs},
        reasons={**plan.reasons, **update.plan.reasons},
        allowed_removals={**plan.allowed_removals, **update.plan.allowed_removals},
    )


async def _read_before(feed: Feed, mirror: Mirror) -> tuple[Advisories, bool]:
    """Return the advisories that count, and whether they are lost."""
    try:
        return await mirror.advisories.read(feed.digest), False
    except LedgerCorrupt as error:
        logger.error("%s", error)  # noqa: TRY400 (says it all)
        return NOTHING, True


async def _read_feed(
    policy: AdvisoryPolicy, before: Advisories, mirror: Mirror
) -> tuple[Advisories, FeedProblem | None]:
    """Return what the feed says, or the previous state and why the new one is not credible."""
    # Not at the top: reading archives takes more modules than an idle tick needs.
    from frumious.advisories.archive import InvalidFeed  # noqa: PLC0415
    from frumious.advisories.feed import FeedUnavailable, fetch_feed  # noqa: PLC0415

    etag = valid_etag(before.etag) if before.policy == policy.fingerprint else ""
    try:
        after = await fetch_feed(policy, etag, mirror.config, mirror.clock)
    except (FeedUnavailable, InvalidFeed) as error:
        is_broken = isinstance(error, InvalidFeed)
        problem = FeedProblem.INVALID if is_broken else FeedProblem.UNAVAILABLE
        logger.error("%s: %s", problem, error)  # noqa: TRY400 (says it all)
        return before, problem
    if after is None:
        return before, None
    kept = 1 - policy.max_shrinking
    if before.source == after.source and (
        after.entries < before.entries * kept or after.malware < before.malware * kept
    ):
        extra = {
            "entries": after.entries,
            "entries_before": before.entries,
            "malware": after.malware,
            "malware_before": before.malware,
        }
        logger.error("%s", FeedProblem.SHRUNK, extra=extra)
        return before, FeedProblem.SHRUNK
    return after, None


async def _update(feed: Feed, before: Advisories, after: Advisories, mirror: Mirror) -> Update:
    """Return what follows if other advisories count."""
    feed = _counted(feed, after)
    changed = {
        project: (of_before, of_after)
        for project in sorted({*before.projects, *after.projects})
        if _blocks(of_before := before.of(project)) != _blocks(of_after := after.of(project))
    }
    if not changed:
        return Update(feed, before, after, Plan())
    cursor = await mirror.ledger.cursor()
    mirrored = await _read_mirrored(cursor, changed, mirror)
    named = await read_named(cursor, mirror.ledger, verify=False)
    wants = structs.replace(mirror.selection, named=named).wants
    reasons: dict[NormalizedName, Reason] = {}
    blocked: dict[NormalizedName, tuple[Advisory, ...]] = {}
    malware: set[NormalizedName] = set()
    for project, (of_before, of_after) in changed.items():
        if mirror.selection.private.has(project):
            continue  # it is another than upstream's
        new = tuple(each for each in of_after.blocking if each not in of_before.blocking)
        new = new or (of_after.blocking if of_after.waivers != of_before.waivers else ())
        if project in mirrored.possible:
            whole = of_after.blocker is not None
            reasons[project] = Reason.BLOCKED if whole else Reason.ADVISORIES
            if new and project in mirrored.listed:
                blocked[project] = new
            if any(each.severity is Severity.MALWARE for each in new):
                malware.add(project)
        elif of_before.blocking and of_after.blocker is None and wants(project):
            reasons[project] = Reason.ADVISORIES  # perhaps it was kept out
    plan = Plan(
        jobs=dict.fromkeys(reasons, 0),
        reasons=reasons,
        allowed_removals={
            project: AllowedRemoval.PROJECT for project, reason in reasons.items() if reason.removes
        },
        quarantined=frozenset(malware),
        known_runs=mirrored.runs,
    )
    return Update(feed, before, after, plan, blocked, len(mirrored.listed))


async def _read_mirrored(
    cursor: Cursor, changed: Container[NormalizedName], mirror: Mirror
) -> _Mirrored:
    """Read which projects the mirror has, in this order: jobs that are done since are listed.

    Of the `changed` ones, those of which a snapshot keeps a page count as well.
    """
    possible = {*await mirror.pages.snapshots.keeping(changed)}
    for entry in cursor.runs:
        try:
            possible.update((await mirror.ledger.plan(entry.run)).jobs)
        except LedgerCorrupt:
            continue  # a lost run: its projects are compared again
    if cursor.lagging:
        possible.update(await mirror.ledger.lagging())
    try:
        listed = frozenset(project for project, _ in await mirror.pages.listed_projects())
    except InvalidPage:
        listed = frozenset(project for project, _ in await mirror.pages.projects_with_pages())
    async for stored in mirror.storage.list(layout.DELETIONS):
        if (deletion := layout.deletion_of(stored.key)) is not None:
            possible.add(deletion[1])
    runs = frozenset(entry.run for entry in cursor.runs)
    return _Mirrored(listed, listed | possible, runs)


def _excess(update: Update, policy: AdvisoryPolicy, confirmed: int) -> str:
    """Explain that the feed blocks too much of the mirror at once; empty: it does not.

    Where the policy has changed, somebody expects that it blocks more vulnerabilities: only malware
    and whole projects count.
    """
    before, after, limit = update.before, update.after, policy.max_blocked
    if limit.is_unlimited or before.projects == after.projects:
        return ""
    is_new = before.policy != after.policy
    counted = [
        project
        for project, advisories in update.blocked.items()
        if not is_new
        or update.plan.reasons[project] is Reason.BLOCKED
        or any(each.severity is Severity.MALWARE for each in advisories)
    ]
    allowed = limit.announced(update.projects)
    if len(counted) <= max(allowed, confirmed):
        return ""
    return (
        f"{len(counted)} of {update.projects} projects, such as {counted[0]!r}, and max-blocked"
        f" allows {allowed}; the earlier advisories count until somebody confirms {len(counted)}"
    )


def _blocks(advisories: ProjectAdvisories) -> object:
    """Return what decides which files are blocked."""
    return (advisories.blocking, advisories.waivers) if advisories.blocking else ()


def _counted(feed: Feed, advisories: Advisories) -> Feed:
    """Return the feed with the numbers of what counts."""
    if feed == Feed():
        return feed
    blocking = [each for project in advisories.projects for each in advisories.of(project).blocking]
    malware = {each.id for each in blocking if each.severity is Severity.MALWARE}
    reporting = {
        each.id for found in advisories.projects.values() for each in found if not each.blocks
    }
    return structs.replace(
        feed,
        malware=len(malware),
        blocking=len({each.id for each in blocking} - malware),
        reporting=len(reporting),
        projects=sum(bool(advisories.of(project).blocking) for project in advisories.projects),
        skipped=advisories.skipped,
    )
