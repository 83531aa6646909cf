"""Private projects: the private directory decides on them, and nothing that upstream says."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from msgspec import structs

from frumious.model.plans import Proposal, Reason
from frumious.private.refresh import refresh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frumious.mirror import Mirror
    from frumious.planning.snapshot import Snapshot
    from frumious.selection.private import PrivateProjects

logger = logging.getLogger(__name__)

_MAX_LOGGED: Final = 20  # projects in one log record


def without_private(snapshot: Snapshot, private: PrivateProjects) -> Snapshot:
    """Return the snapshot without upstream's projects whose names are private.

    Someone may have registered such a name upstream to be installed in place of the private
    project; the log says so.
    """
    changes, index = snapshot.changes, snapshot.upstream_index
    upstream = {*(changes.projects if changes is not None else ())}
    upstream.update(index.projects if index is not None else ())
    names = frozenset(filter(private.has, upstream)) if private else frozenset()
    if not names:
        return snapshot
    extra = {"projects": len(names), "names": sorted(names)[:_MAX_LOGGED]}
    logger.warning("upstream has projects with private names, which are passed over", extra=extra)
    if changes is not None:
        changes = structs.replace(
            changes,
            projects={name: each for name, each in changes.projects.items() if name not in names},
            allowed_removals={
                name: each for name, each in changes.allowed_removals.items() if name not in names
            },
            quarantined=changes.quarantined - names,
        )
    if index is not None:
        projects = {name: each for name, each in index.projects.items() if name not in names}
        index = structs.replace(index, projects=projects)
    return structs.replace(snapshot, changes=changes, upstream_index=index)


async def read_private(snapshot: Snapshot, mirror: Mirror) -> Snapshot:
    """Add what the private directory has; read no state where neither configuration has one.

    Raises:
        FrumiousError: it cannot be read, and no run has ever done so.
    """
    private = mirror.selection.private
    if not private.directory and not snapshot.config.projects:
        return snapshot
    stored, listing = await refresh(mirror)
    released = frozenset(name for name in stored.projects if not private.has(name))
    return structs.replace(
        snapshot, private=listing, keeps_private=stored != listing.planning(()), released=released
    )


def propose_private(snapshot: Snapshot) -> Iterator[Proposal]:
    """Propose the private projects whose files have changed, and those that are not private now."""
    for project, each in snapshot.private.projects.items():
        if not each.is_planned and project not in snapshot.named.deleted:
            yield Proposal(project, 0, Reason.PRIVATE if each.files else Reason.PRIVATE_GONE)
    yield from (Proposal(project, 0, Reason.RELEASED) for project in snapshot.released)
