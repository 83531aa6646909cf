"""What is to be done becomes a plan: a value that can be shown before anything happens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from packaging.utils import InvalidName, NormalizedName, canonicalize_name

from frumious.errors import FrumiousError
from frumious.model.jobs import AllowedRemoval
from frumious.model.plans import Plan, Reason
from frumious.planning.config_changes import reselect
from frumious.planning.discovery import discover
from frumious.planning.plan_builder import Draft
from frumious.planning.sweep import sweep
from frumious.state.root_index_reader import listed_projects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from frumious.mirror import Mirror
    from frumious.model.runs import Cursor, Lagging
    from frumious.model.types import JsonObject

_RETRIED_AT_ONCE: Final = 1000  # lagging projects that one plan takes up again
_TOLD: Final = 1000  # projects of each kind that are told by name


class InvalidProject(FrumiousError):
    """A name that no project can have."""


class TooManyRemovals(FrumiousError):
    """The plan would remove more of the mirror than `max-removals` allows."""

    def __init__(self, plan: Plan, removals: int, projects: int, allowed: int) -> None:
        super().__init__(
            f"the run would remove {removals} of the mirror's {projects} projects, and max-removals"
            f" allows {allowed}: nothing is started before somebody confirms {removals} removals"
        )
        self.plan = plan
        self.removals = removals


def plan_projects(names: Iterable[str], *, allowed_removal: bool = False) -> Plan:
    """Plan named projects, whatever their serial; upstream is not asked.

    With `may_lose` the projects may lose most of their files, or be gone, though no event says so.

    Raises:
        InvalidProject: a name is none.
    """
    draft = Draft()
    for name in names:
        try:
            project = canonicalize_name(name, validate=True)
        except (InvalidName, TypeError) as error:
            msg = f"{name!r} is not a project's name: letters, digits, '.', '-' and '_' are allowed"
            raise InvalidProject(msg) from error
        draft.add(
            project,
            0,
            Reason.NAMED,
            allowed_removal=AllowedRemoval.PROJECT if allowed_removal else AllowedRemoval.NOTHING,
        )
    return Plan(
        jobs=draft.jobs,
        reasons=draft.reasons,
        allowed_removals=draft.allowed_removals,
        named=frozenset(draft.jobs),
    )


async def plan_changes(mirror: Mirror, *, force: bool = False, confirmed_removals: int = 0) -> Plan:
    """Plan what brings the mirror in step with upstream and with its configuration.

    `force` plans every project; `confirmed_removals` is how many removals somebody has confirmed.

    Raises:
        UpstreamUnavailable: upstream did not answer.
        NoChangelog: it has none, and nothing else is configured.
        TooManyRemovals: more than `max-removals` would be removed.
    """
    base = await mirror.ledger.cursor()
    draft = Draft()
    cursor = await discover(base, draft, mirror)
    selected = await reselect(draft, mirror, force=force)
    cursor = await sweep(cursor, draft, mirror)
    lagging = await mirror.ledger.lagging()
    due = _due(base, lagging)
    for project, entry in lagging.items():
        if project in due or project in draft.jobs:
            allowed_removal = entry.allowed_removal_at(draft.jobs.get(project, 0))
            draft.add(project, entry.serial, Reason.LAGGING, allowed_removal=allowed_removal)
    plan = Plan(
        jobs=draft.jobs,
        reasons=draft.reasons,
        allowed_removals=draft.allowed_removals,
        retries=frozenset(due),
        recovering=frozenset(draft.jobs if force else draft.jobs.keys() & lagging.keys()),
        migrating=draft.migrating,
        named=frozenset(project for project, entry in due.items() if entry.named),
        behind=time.time() if draft.behind is None else draft.behind,
        base=base,
        cursor=cursor,
        selected=selected,
    )
    await _check_removals(plan, mirror, confirmed_removals)
    return plan


def told(plan: Plan) -> JsonObject:
    """Tell a plan: what would be updated, removed and retried, and why.

    Of each kind a thousand projects at the most are named; `counts` has them all.
    """
    kinds: dict[str, dict[NormalizedName, Reason]] = {"updated": {}, "removed": {}, "retried": {}}
    for project, reason in sorted(plan.reasons.items()):
        kind = "updated"
        if reason.removes:
            kind = "removed"
        elif project in plan.retries:
            kind = "retried"
        kinds[kind][project] = reason
    return {
        "since": plan.base.serial if plan.base is not None else None,
        "until": plan.cursor.serial if plan.cursor is not None else None,
        "counts": {kind: len(projects) for kind, projects in kinds.items()},
        **{
            kind: {project: reason.value for project, reason in list(projects.items())[:_TOLD]}
            for kind, projects in kinds.items()
        },
    }


def _due(
    cursor: Cursor, lagging: Mapping[NormalizedName, Lagging]
) -> Mapping[NormalizedName, Lagging]:
    """Return the lagging projects whose pause is over and that no open run has taken up."""
    taken = {name for run in cursor.runs for name in run.retries}
    now = time.time()
    due = {name: entry for name, entry in lagging.items() if entry.due <= now and name not in taken}
    return dict(list(due.items())[:_RETRIED_AT_ONCE])


async def _check_removals(plan: Plan, mirror: Mirror, confirmed_removals: int) -> None:
    """Make sure that nobody's glitch or slip empties the mirror.

    Raises:
        TooManyRemovals: more would be removed than is allowed or confirmed_removals to.
    """
    limit = mirror.config.max_removals
    candidates = {project for project, reason in plan.reasons.items() if reason.removes}
    if len(candidates) <= max(limit.number, confirmed_removals):
        return
    projects = removals = 0
    for project, _ in await listed_projects(mirror):
        projects += 1
        removals += project in candidates
    allowed = max(limit.number, int(projects * limit.share), confirmed_removals)
    if removals > allowed:
        raise TooManyRemovals(plan, removals, projects, allowed)
