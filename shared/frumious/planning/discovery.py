"""What changed upstream: by its changelog, by its root index, or by asking for names.

The changelog is cheap and exact; the other two heal what was missed, and serve where there is
none.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from frumious.model import layout
from frumious.model.jobs import AllowedRemoval
from frumious.model.plans import Reason
from frumious.state.root_index_reader import listed_projects
from frumious.upstream.upstream import NoChangelog

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.pages import RootIndex
    from frumious.model.runs import Cursor
    from frumious.planning.plan_builder import Draft

logger = logging.getLogger(__name__)

SHORT: Final = 500  # names of an allowlist that are asked for without a root index
_RECONCILED_EVERY: Final = 24 * 3600  # seconds
_OLDEST_TAKEN_OVER: Final = 2_000_000  # events, some three months of PyPI's and forty calls


async def discover(cursor: Cursor, draft: Draft, mirror: Mirror) -> Cursor:
    """Add what changed upstream since the cursor, and return how far that brings it.

    Raises:
        UpstreamUnavailable: upstream did not answer.
        NoChangelog: it has none, and `discovery = changelog` is configured.
    """
    asked = time.time()
    way = mirror.config.discovery
    if way in {"auto", "changelog"}:
        try:
            return replace(
                await _by_changelog(cursor, draft, mirror),
                asked=asked,
                changelog=True,
                no_change_feed=False,
            )
        except NoChangelog:
            if way == "changelog":
                raise
            logger.info("upstream has no changelog")
    names = mirror.selection.exact_projects if way == "names" else short_allowlist(mirror)
    if names is not None:
        return replace(_by_names(cursor, names, draft, mirror), asked=asked)
    return replace(await _by_index(cursor, draft, mirror), asked=asked)


def short_allowlist(mirror: Mirror) -> Collection[NormalizedName] | None:
    """Return the names of an allowlist that can be asked for one by one; None: there is none."""
    exact = mirror.selection.exact_projects
    return exact if exact is not None and len(exact) <= SHORT else None


async def _by_changelog(cursor: Cursor, draft: Draft, mirror: Mirror) -> Cursor:
    now = time.time()
    names = short_allowlist(mirror)
    if cursor.serial is None:
        until = await mirror.upstream.last_serial()  # first: what changes meanwhile comes next
        if names is None:
            await _compare_all(draft, mirror)
        else:
            _add_all(names, draft, mirror)
        await _take_over(until, draft, mirror)
        return replace(cursor, serial=until, upstream=until, reconciled=now, swept_at=now)
    changes = await mirror.upstream.changes_since(cursor.serial)
    draft.behind = changes.earliest
    for project, serial in changes.projects.items():
        if mirror.selection.wants(project):
            allowed_removal = changes.allowed_removals.get(project, AllowedRemoval.NOTHING)
            reason = Reason.REMOVED if allowed_removal is AllowedRemoval.PROJECT else Reason.CHANGED
            draft.add(project, serial, reason, allowed_removal=allowed_removal)
    after = replace(cursor, serial=max(cursor.serial, changes.serial), upstream=changes.serial)
    if now < cursor.reconciled + _RECONCILED_EVERY or _is_being_filled(cursor):
        return after
    if names is None:  # else the sweep asks for each often enough
        await _compare_all(draft, mirror)
    return replace(after, reconciled=now)


async def _take_over(until: int, draft: Draft, mirror: Mirror) -> None:
    """Ask what was removed since another program brought the mirror to its `status`."""
    stored = await mirror.storage.read(layout.STATUS)
    if stored is None or not stored.body.strip().isdigit():
        return
    draft.migrating = True
    since = int(stored.body)
    if until - _OLDEST_TAKEN_OVER <= since < until:
        changes = await mirror.upstream.changes_since(since)
        for project in changes.allowed_removals.keys() & draft.jobs.keys():
            draft.lose(project, changes.allowed_removals[project])


def _by_names(
    cursor: Cursor, names: Collection[NormalizedName], draft: Draft, mirror: Mirror
) -> Cursor:
    """Take all names at first; afterwards the sweep asks for them in turn."""
    if not cursor.asked:
        _add_all(names, draft, mirror)
    return replace(cursor, no_change_feed=True)


async def _by_index(cursor: Cursor, draft: Draft, mirror: Mirror) -> Cursor:
    if _is_being_filled(cursor):
        return cursor
    index = await mirror.upstream.root_index(etag=cursor.root_etag)
    if index is None:
        return cursor
    under_way: dict[NormalizedName, int] = {}
    for run in cursor.runs:
        under_way |= (await mirror.ledger.plan(run.run)).jobs
    await _compare(index, draft, mirror, under_way)
    serial = cursor.serial
    # Where there was a changelog it may come back, and tell of what no index does: removals.
    if index.serial is not None and not cursor.changelog:
        serial = max(cursor.serial or 0, index.serial)
    return replace(
        cursor,
        serial=serial,
        upstream=index.serial,
        root_etag="" if under_way else index.etag,  # those under way are looked at again
        no_change_feed=all(serial is None for serial in index.projects.values()),
    )


def _is_being_filled(cursor: Cursor) -> bool:
    """Say whether a large plan is under way: what it lacks yet is not missing."""
    return any(run.staged for run in cursor.runs)


def _add_all(names: Collection[NormalizedName], draft: Draft, mirror: Mirror) -> None:
    for name in sorted(filter(mirror.selection.wants, names)):
        draft.add(name, 0, Reason.NEW)


async def _compare_all(draft: Draft, mirror: Mirror) -> None:
    """Compare the mirror with all that upstream has and that is wanted."""
    index = await mirror.upstream.root_index()
    if index is not None:
        await _compare(index, draft, mirror, {})


async def _compare(
    index: RootIndex, draft: Draft, mirror: Mirror, under_way: Mapping[NormalizedName, int]
) -> None:
    """Compare serial by serial; the mirror's own root index passes by as a stream."""
    wants = mirror.selection.wants
    lagging = await mirror.ledger.lagging()  # these come again by themselves
    missing = set(index.projects)
    for name, listed in await listed_projects(mirror):
        missing.discard(name)
        if name in lagging or not wants(name):
            continue
        if name not in index.projects:
            if name not in under_way:
                draft.add(name, 0, Reason.REMOVED, allowed_removal=AllowedRemoval.PROJECT)
            continue
        serial = index.projects[name] or 0
        if serial > max(listed.serial or 0, under_way.get(name, 0)):
            draft.add(name, serial, Reason.DIFFERS)
    for name, entry in lagging.items():
        if name not in index.projects and not entry.named and wants(name):
            # Perhaps that is why.
            draft.add(name, 0, Reason.REMOVED, allowed_removal=AllowedRemoval.PROJECT)
    for name in sorted(missing):
        serial = index.projects[name] or 0
        if wants(name) and name not in lagging and serial > under_way.get(name, -1):
            draft.add(name, serial, Reason.NEW)
