"""Decide which removals of a plan wait for an operator's confirmation. Pure.

A mistake, in the configuration or upstream, must not empty the mirror, and takedowns must not wait.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from msgspec import structs

from frumious.model.plans import Plan, Reason, RemovalLimit

if TYPE_CHECKING:
    from collections.abc import Collection

    from packaging.utils import NormalizedName

    from frumious.config.choices import Removals
    from frumious.planning.discovery import Comparison
    from frumious.planning.snapshot import Snapshot

_CONFIGURED: Final = frozenset({Reason.UNWANTED, Reason.MADE_PRIVATE})
_PRIVATE: Final = frozenset({Reason.MADE_PRIVATE, Reason.PRIVATE_GONE})


def check_removals(
    plan: Plan, comparison: Comparison, snapshot: Snapshot, limit: Removals, confirmed: int
) -> Plan:
    """Return the plan without the removals that wait, or stopped as a whole.

    Removals because of the configuration wait until somebody confirms them. Those of private names
    wait only above the limit for announced removals, and those that no event announces if `limit`
    allows fewer; all of these wait if upstream's root index lists nothing: that is an outage. What
    remains of the plan starts. Where upstream's events remove more than `limit` allows, nothing
    starts: the cursor must not pass these events.
    """
    verdict = _check(plan, comparison, snapshot, limit, confirmed)
    if verdict is None or not verdict.rest_starts:
        return structs.replace(plan, stopped=verdict)
    unwanted, private = bool(verdict.unwanted), bool(verdict.private)
    unannounced = verdict.removals > verdict.unwanted + verdict.private
    withheld = {
        project: reason
        for project, reason in plan.removals.items()
        if (reason is Reason.UNWANTED and unwanted)
        or (reason in _PRIVATE and private)
        or (reason is Reason.UNANNOUNCED and unannounced)
    }
    plan = structs.replace(_without(plan, withheld), stopped=verdict, withheld=withheld)
    if unannounced and plan.base is not None and plan.cursor is not None:
        # So that the next tick compares the indexes again, and no serial is claimed before that.
        follows = snapshot.changes is not None and plan.base.serial is not None
        cursor = structs.replace(
            plan.cursor,
            serial=plan.cursor.serial if follows else plan.base.serial,
            reconciled=plan.base.reconciled,
            root_etag=plan.base.root_etag,
        )
        plan = structs.replace(plan, cursor=cursor)
    if (unwanted or private) and plan.selected is not None:
        previous = snapshot.config.previous_projects
        plan = structs.replace(plan, selected=structs.replace(plan.selected, projects=previous))
    return plan


def _check(
    plan: Plan, comparison: Comparison, snapshot: Snapshot, limit: Removals, confirmed: int
) -> RemovalLimit | None:
    """Return the verdict on what the plan removes of the mirror; None: nothing waits.

    Projects that the mirror never had do not count.
    """
    index = snapshot.upstream_index
    outage = index is not None and not index.projects
    if limit.is_unlimited and not outage:
        return None
    counts = Counter[Reason]()
    for project, reason in plan.removals.items():
        if reason in {Reason.DELETED, Reason.BLOCKED}:
            continue  # each is confirmed, or `max-blocked` has allowed it
        stored = reason in _CONFIGURED and project in snapshot.unlisted
        counts[reason] += stored or project in comparison.listed
    projects = comparison.projects
    announced, unannounced = limit.announced(projects), limit.unannounced(projects) * (not outage)
    unwanted = counts[Reason.UNWANTED] * (not limit.is_unlimited)
    private_limit = limit.announced(len(snapshot.private.projects))
    made_private, gone = counts[Reason.MADE_PRIVATE], counts[Reason.PRIVATE_GONE]
    private = made_private * (made_private > announced) + gone * (gone > private_limit)
    private *= not limit.is_unlimited
    stops = counts[Reason.REMOVED] > announced
    waiting = counts.total() if stops else unwanted + private
    if not stops and counts[Reason.UNANNOUNCED] > unannounced:
        waiting += counts[Reason.UNANNOUNCED]
    if waiting <= confirmed:
        return None
    return RemovalLimit(
        removals=waiting,
        projects=projects,
        allowed=announced if stops else unannounced,
        unwanted=unwanted,
        private=private,
        rest_starts=not stops,
        outage=outage,
    )


def _without(plan: Plan, withheld: Collection[NormalizedName]) -> Plan:
    def kept(names: frozenset[NormalizedName]) -> frozenset[NormalizedName]:
        return names.difference(withheld)

    return structs.replace(
        plan,
        jobs={name: plan.jobs[name] for name in plan.jobs if name not in withheld},
        reasons={name: plan.reasons[name] for name in plan.reasons if name not in withheld},
        allowed_removals={
            name: plan.allowed_removals[name]
            for name in plan.allowed_removals
            if name not in withheld
        },
        retries=kept(plan.retries),
        named=kept(plan.named),
        recovering=kept(plan.recovering),
        quarantined=kept(plan.quarantined),
        rewinding=kept(plan.rewinding),
        delisted=kept(plan.delisted),
    )
