"""Take private names out of what upstream says: it does not decide on them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
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
    logger.warning("upstream has projects with private names: ignored", extra=extra)
    if changes is not None:
        changes = replace(
            changes,
            projects={name: each for name, each in changes.projects.items() if name not in names},
            allowed_removals={
                name: each for name, each in changes.allowed_removals.items() if name not in names
            },
            quarantined=changes.quarantined - names,
        )
    if index is not None:
        projects = {name: each for name, each in index.projects.items() if name not in names}
        index = replace(index, projects=projects)
    return replace(snapshot, changes=changes, upstream_index=index)
