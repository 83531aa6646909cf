"""The configuration changed: what it concerns is planned anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from frumious.model.plans import Reason
from frumious.model.runs import Selected
from frumious.state.root_index_reader import listed_projects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.planning.plan_builder import Draft

_NOTHING = Selected(projects="", pages="", releases={})


async def reselect(draft: Draft, mirror: Mirror, *, force: bool) -> Selected | None:
    """Add what another configuration made otherwise, and return the one that counts now.

    None where it is the same as before. A mirror of which nobody has kept the configuration is
    taken as it is.

    Raises:
        UpstreamUnavailable: upstream did not answer.
    """
    now = mirror.selected
    kept = await mirror.ledger.selected()
    if kept is not None:
        now = replace(now, layouts=tuple(sorted({*kept.layouts, *now.layouts})))
    before = _NOTHING if force else kept or now
    reason = Reason.FORCED if force else Reason.RESELECTED
    await _shown_otherwise(before, now, draft, mirror, reason)
    if before.projects != now.projects:
        await _other_projects(draft, mirror)
    return None if now == kept else now


async def _shown_otherwise(
    before: Selected, now: Selected, draft: Draft, mirror: Mirror, reason: Reason
) -> None:
    """Add the projects whose pages or releases are chosen by other rules than before."""
    ruled = {
        project
        for project in before.releases.keys() | now.releases.keys()
        if before.releases.get(project) != now.releases.get(project)
    }
    every = before.pages != now.pages
    if not every and not ruled:
        return
    for project, _ in await listed_projects(mirror):
        if (every or project in ruled) and mirror.selection.wants(project):
            draft.add(project, 0, reason)


async def _other_projects(draft: Draft, mirror: Mirror) -> None:
    """Add the projects that are no longer wanted, and those that are wanted only now."""
    wants = mirror.selection.wants
    held = set()
    for project, _ in await listed_projects(mirror):
        held.add(project)
        if not wants(project):
            draft.add(project, 0, Reason.UNWANTED)
    for project, entry in (await mirror.ledger.lagging()).items():
        if not (entry.named or wants(project)):
            draft.add(project, 0, Reason.UNWANTED)
    for project, serial in (await _all_upstream(mirror)).items():
        if wants(project) and project not in held:
            draft.add(project, serial or 0, Reason.NEW)


async def _all_upstream(mirror: Mirror) -> Mapping[NormalizedName, int | None]:
    exact = mirror.selection.exact_projects
    if exact is not None:
        return dict.fromkeys(sorted(exact))
    index = await mirror.upstream.root_index()
    return {} if index is None else index.projects
