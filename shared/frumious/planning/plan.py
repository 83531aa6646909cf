"""Turn what a tick knows into a plan: a value to show before anything happens."""

from __future__ import annotations

import logging
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from msgspec import structs

from frumious.model.jobs import AllowedRemoval
from frumious.model.plans import Plan, Reason
from frumious.planning import discovery, feed, private_names, sweep
from frumious.planning.named import parse_names
from frumious.planning.removals import check_removals
from frumious.planning.retry import refused_losses
from frumious.planning.snapshot import read_snapshot
from frumious.simple.values import InvalidPage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from packaging.utils import NormalizedName

    from frumious.config.choices import Removals
    from frumious.mirror import Mirror
    from frumious.model.plans import Proposal
    from frumious.model.types import Json, JsonObject
    from frumious.planning.snapshot import Snapshot
    from frumious.selection.selection import Selection

logger = logging.getLogger(__name__)

_OF_ANY_PROJECT: Final = (
    Reason.UNWANTED,
    Reason.MADE_PRIVATE,
    Reason.PRIVATE_GONE,
    Reason.DUE,
    Reason.DELETED,
    Reason.BLOCKED,
)
_MAX_RETRIES: Final = 1000  # lagging projects in one plan
_MAX_SHOWN: Final = 1000  # projects of each kind that a summary names
_REGRESSED: Final = (
    "upstream counts lower serials than before: it was restored from a backup, or is another index."
    " Its changes are not followed until its serials are counted anew"
)
_FOREIGN: Final = (
    "master is another index than the one that the mirror follows: nothing is planned until master"
    " is corrected, or the serials are counted anew"
)


def plan_projects(names: Iterable[str], *, allowed_removal: bool = False) -> Plan:
    """Plan named projects, whatever their serial; upstream is not asked.

    With `allowed_removal` they may lose most of their files, or be gone, without an event.

    Raises:
        InvalidProject: a name is not a project's.
    """
    projects = parse_names(names)
    return Plan(
        jobs=dict.fromkeys(projects, 0),
        reasons=dict.fromkeys(projects, Reason.NAMED),
        allowed_removals=dict.fromkeys(projects if allowed_removal else (), AllowedRemoval.PROJECT),
        named=frozenset(projects),
        confirmed=frozenset(projects if allowed_removal else ()),
    )


def plan_deletions(names: Iterable[str]) -> Plan:
    """Plan the removal of named projects, which `named.delete` has recorded.

    Raises:
        InvalidProject: a name is not a project's.
    """
    projects = parse_names(names)
    return Plan(
        jobs=dict.fromkeys(projects, 0),
        reasons=dict.fromkeys(projects, Reason.DELETED),
        settles_named=True,
    )


async def plan_changes(
    mirror: Mirror, *, force: bool = False, reset: bool = False, confirmed_removals: int = 0
) -> Plan:
    """Plan what brings the mirror in step with upstream and with its configuration.

    `force` plans every project; `confirmed_removals` is how many removals somebody has confirmed.
    Where more removals than those need a confirmation, the plan comes back `stopped`. With `reset`
    upstream's serials are counted anew, and its pages may be older than the mirror's.

    Raises:
        UpstreamUnavailable: upstream did not answer.
        NoChangelog: upstream has none, and `discovery = changelog` is configured.
    """
    limit = mirror.config.max_removals
    snapshot = await read_snapshot(mirror, force=force, reset=reset)
    try:
        plan = plan_snapshot(snapshot, mirror.selection, limit, confirmed_removals)
    except InvalidPage as error:  # the mirror's own root index, which is read while planning
        logger.error("%s; projects are found by their pages", error)  # noqa: TRY400
        snapshot = structs.replace(snapshot, own_index=await mirror.pages.projects_with_pages())
        plan = plan_snapshot(snapshot, mirror.selection, limit, confirmed_removals)
    return structs.replace(plan, confirmed=frozenset(plan.removals)) if confirmed_removals else plan


def plan_snapshot(
    snapshot: Snapshot, selection: Selection, limit: Removals, confirmed: int = 0
) -> Plan:
    """Return the plan that follows from a snapshot. Pure."""
    if snapshot.foreign:
        return _foreign_plan(snapshot)
    selection = structs.replace(
        selection, named=snapshot.named, blocked=snapshot.blocked, needed=snapshot.closure.needed
    )
    comparison = discovery.compare(snapshot, selection)
    proposals = chain(
        discovery.propose_changed(snapshot),
        comparison.differing,
        discovery.propose_missing(snapshot, comparison),
        # Polled names are in no comparison: there a missing page counts.
        sweep.propose_checked(snapshot.turn, comparison.listed if snapshot.names is None else ()),
        discovery.propose_ripe(snapshot),
        discovery.propose_due(snapshot),
        discovery.propose_named(snapshot),
        private_names.propose_private(snapshot),
    )
    retries = _due_retries(snapshot)
    merged = _merge(proposals, retries, snapshot, selection)
    planned = merged.jobs.keys()
    earliest = None if snapshot.changes is None else snapshot.changes.earliest
    cursor = sweep.advance(discovery.advance(snapshot), snapshot.turn)
    plan = structs.replace(
        merged,
        rewinding=frozenset(planned) if snapshot.rewinds else merged.rewinding,
        reset=snapshot.reset,
        regressed=_REGRESSED if cursor.is_regressed(snapshot.now) else feed.problem(snapshot),
        digests=_digests(snapshot, planned - merged.rewinding),
        retries=retries,
        # A reset drops open runs, whose jobs may have left work behind.
        recovering=frozenset(
            planned if snapshot.config.forced or snapshot.reset else planned & snapshot.lagging
        ),
        migrating=snapshot.migrating,
        quarantined=_quarantined(snapshot) & planned,
        due={
            project: hours
            for project, hours in (snapshot.due or {}).items()
            if project in planned and not merged.reasons[project].removes
        },
        named=frozenset(project for project in retries if snapshot.lagging[project].named)
        | (planned & snapshot.named.requested.keys()),
        settles_named=snapshot.settles_named or bool(snapshot.named.pending),
        outdated_since=snapshot.now if earliest is None else earliest,
        base=snapshot.cursor,
        cursor=cursor,
        selected=snapshot.config.selected,
        doubtful=snapshot.turn.doubtful,
        private=snapshot.private if snapshot.keeps_private else None,
        problems=(*snapshot.private.problem_lines, *snapshot.closure.problems),
        needed=snapshot.closure.needed if snapshot.closure.changed else None,
        refused_losses=len(refused_losses(snapshot.lagging)),
    )
    return check_removals(plan, comparison, snapshot, limit, confirmed)


def _quarantined(snapshot: Snapshot) -> frozenset[NormalizedName]:
    """Return the projects that upstream quarantined since their last success, or releases of."""
    lagging = (project for project, entry in snapshot.lagging.items() if entry.quarantined)
    events = snapshot.changes.quarantined if snapshot.changes is not None else ()
    return frozenset((*lagging, *events))


def _digests(snapshot: Snapshot, planned: Collection[NormalizedName]) -> dict[NormalizedName, str]:
    """Return what upstream's change feed says of the pages of planned projects."""
    if snapshot.rewinds:
        return {}
    lagging = {project: entry.digest for project, entry in snapshot.lagging.items()}
    known = {**lagging, **(snapshot.changes.digests if snapshot.changes is not None else {})}
    return {project: known[project] for project in planned if known.get(project)}


def _foreign_plan(snapshot: Snapshot) -> Plan:
    """Return the plan that keeps a mirror apart from an index that it has not followed so far."""
    base = snapshot.cursor
    cursor = structs.replace(base, regressed=base.regressed or snapshot.now)
    return Plan(base=base, cursor=cursor, regressed=_FOREIGN)


def _due_retries(snapshot: Snapshot) -> frozenset[NormalizedName]:
    """Return lagging projects whose pause is over, and which no open run retries already.

    Where the mirror counts anew, all are due: the serials that they have to reach are void.
    """
    if snapshot.reset:
        return frozenset(snapshot.lagging)
    retried = {project for run in snapshot.cursor.runs for project in run.retries}
    due = (
        project
        for project, entry in snapshot.lagging.items()
        if entry.is_due(snapshot.now) and project not in retried
    )
    return frozenset(islice(due, _MAX_RETRIES))


def _merge(
    proposals: Iterable[Proposal],
    retries: Collection[NormalizedName],
    snapshot: Snapshot,
    selection: Selection,
) -> Plan:
    """Merge what is proposed for the same project: the first reason counts, or a removal.

    Projects that are not selected can only be removed, or retried, or lose removed files.
    """
    # The serial to reach, and whether upstream's root index of that serial lacks the project: then
    # an event of the same serial was its last.
    jobs: dict[NormalizedName, tuple[int, bool]] = {}
    rewinding: set[NormalizedName] = set()
    reasons: dict[NormalizedName, Reason] = {}
    allowed = dict(snapshot.removals)
    for project, serial, reason, is_delisted in proposals:
        if reason is Reason.UNANNOUNCED and reasons.get(project) is Reason.CHANGED:
            continue  # the root index is older than the event
        if reason in _OF_ANY_PROJECT or selection.wants(project):
            required = _credible(serial, snapshot), is_delisted
            jobs[project] = max(required, jobs.get(project, required))
            if reason is Reason.REWOUND:
                rewinding.add(project)
            if project not in reasons or (reason.removes and not reasons[project].removes):
                reasons[project] = reason
            if reason.removes:
                allowed[project] = AllowedRemoval.PROJECT
    for project, entry in snapshot.lagging.items():
        if project in jobs or project in retries:
            if entry.rewinding or snapshot.is_void(entry.serial):
                rewinding.add(project)
            void = snapshot.reset or reasons.get(project) is Reason.REWOUND
            serial = 0 if void else _credible(entry.serial, snapshot)
            required = serial, entry.delisted
            jobs[project] = max(required, jobs.get(project, required))
            reasons.setdefault(project, Reason.LAGGING)
            earlier = entry.allowed_removal_at(jobs[project][0])
            allowed[project] = max(earlier, allowed.get(project, earlier))
    allowed = {project: removal for project, removal in allowed.items() if project in jobs}
    return Plan(
        jobs={project: serial for project, (serial, _) in jobs.items()},
        reasons=reasons,
        allowed_removals=allowed,
        rewinding=frozenset(rewinding),
        delisted=frozenset(project for project, (_, is_delisted) in jobs.items() if is_delisted),
    )


def _credible(serial: int, snapshot: Snapshot) -> int:
    """Return a serial to reach; the first one, so any, where upstream has not counted up to it.

    0 would say that upstream may not have the project at all.
    """
    return serial if snapshot.is_reached(serial) else 1


def summary(plan: Plan) -> JsonObject:
    """Return what a plan would update, remove and retry, and why.

    Names at most a thousand projects of each kind; `counts` has them all.
    """
    kinds: dict[str, dict[str, Json]] = {"updated": {}, "removed": {}, "retried": {}}
    for project, reason in sorted({**plan.reasons, **plan.withheld}.items()):
        kind = "retried" if project in plan.retries else "updated"
        kinds["removed" if reason.removes else kind][project] = reason.value
    return {
        "since": plan.base.serial if plan.base is not None else None,
        "until": plan.cursor.serial if plan.cursor is not None else None,
        "counts": {kind: len(projects) for kind, projects in kinds.items()},
        **{kind: dict(islice(projects.items(), _MAX_SHOWN)) for kind, projects in kinds.items()},
    }
