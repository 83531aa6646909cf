"""Propose projects that differ from upstream or from the configuration. Pure.

The changelog is cheap and exact. The comparison of root indexes heals what it missed, and serves
where there is none; the mirror's own index passes by as a stream, once for everybody who needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from frumious.model.jobs import AllowedRemoval
from frumious.model.plans import Proposal, Reason
from frumious.upstream.upstream import MAX_PROGRESS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from packaging.utils import NormalizedName

    from frumious.model.changes import Position
    from frumious.model.pages import RootIndex
    from frumious.model.runs import Cursor
    from frumious.planning.snapshot import Snapshot
    from frumious.selection.selection import Selection


COMPARISON_INTERVAL: Final = 24 * 3600  # seconds

_MAX_CACHED: Final = 600  # seconds that a cache keeps a root index
_MAX_STALENESS: Final = 1_000_000  # serials; a root index that is further behind is wrong


class Comparison(NamedTuple):
    """What one pass over the mirror's root index finds."""

    differing: Collection[Proposal]  # for projects that the index lists, or that lag
    missing: Mapping[NormalizedName, int | None]  # projects that it may lack, with their serials
    listed: Collection[NormalizedName]  # of those that may be removed, all that it lists
    projects: int  # how many it lists


def propose_changed(snapshot: Snapshot) -> Iterator[Proposal]:
    """Propose the projects that the changelog names; at first, all names to poll."""
    cursor, changes = snapshot.cursor, snapshot.changes
    if changes is not None:
        for project, serial in changes.projects.items():
            removed = changes.allowed_removals.get(project) is AllowedRemoval.PROJECT
            yield Proposal(project, serial, Reason.REMOVED if removed else Reason.CHANGED)
    never_compared = not cursor.reconciled or (changes is not None and cursor.serial is None)
    if snapshot.names is not None and never_compared:
        yield from (Proposal(project, 0, Reason.NEW) for project in snapshot.names)


def compare(snapshot: Snapshot, selection: Selection) -> Comparison:
    """Compare the mirror's root index with upstream's, if there is one, and the configuration."""
    missing: dict[NormalizedName, int | None] = {}
    if snapshot.upstream_index is not None:
        missing.update(snapshot.upstream_index.projects)
    elif snapshot.config.projects:
        missing.update(dict.fromkeys(selection.exact_projects or ()))
    may_be_removed = {*snapshot.lagging, *snapshot.removals, *snapshot.turn.checks}
    may_be_removed |= {*snapshot.private.projects}
    # A project that somebody named is retried whatever the filters and the indexes say; but what no
    # index knows, it need not reach.
    compared = (
        _rewound(project, 0, snapshot)
        if entry.named and not selection.private.has(project)
        else _compare(project, 0, snapshot, selection)
        for project, entry in snapshot.lagging.items()
    )
    differing = list(filter(None, compared))
    reselected = (_reselect(project, snapshot, selection) for project in snapshot.reselected)
    differing += filter(None, reselected)
    unlisted = {*snapshot.unlisted}
    listed: set[NormalizedName] = set()
    projects = 0
    for project, entry in snapshot.own_index:
        projects += 1
        missing.pop(project, None)
        unlisted.discard(project)
        proposal = _compare(project, entry.serial or 0, snapshot, selection)
        if proposal is not None:
            differing.append(proposal)
        if project in may_be_removed or (proposal is not None and proposal.reason.removes):
            listed.add(project)
    for project in sorted(unlisted):
        if not selection.wants(project):
            differing.append(Proposal(project, 0, _unwanted(project, selection)))
        elif project not in missing:
            differing.append(Proposal(project, 0, Reason.DIFFERS))
    return Comparison(differing, missing, listed, projects)


def _compare(
    project: NormalizedName,
    serial: int,
    snapshot: Snapshot,
    selection: Selection,
) -> Proposal | None:
    """Compare a project that the mirror has at `serial`, or lacks while it lags."""
    index, lagging = snapshot.upstream_index, snapshot.lagging.get(project)
    reselected = _reselect(project, snapshot, selection)
    if selection.private.has(project) or (reselected is not None and reselected.reason.removes):
        return reselected
    if (rewound := _rewound(project, serial, snapshot)) is not None:
        return rewound
    if index is not None and (lagging is None or not lagging.named):
        current = index.projects.get(project, -1)
        pending = snapshot.in_progress.get(project, -1)
        if current == pending == -1:
            # Not where the mirror counts anew.
            newer = serial < (index.serial or 0) and not snapshot.rewinds
            reason = _removal(project, snapshot)
            return Proposal(project, index.serial or 0 if newer else 0, reason, delisted=newer)
        if lagging is None and current is not None and _differs(current, serial, pending, snapshot):
            return Proposal(project, current, Reason.DIFFERS)
    return reselected


def _rewound(project: NormalizedName, serial: int, snapshot: Snapshot) -> Proposal | None:
    """Propose a listed project whose serial here, or the one to reach, upstream never had."""
    index, lagging = snapshot.upstream_index, snapshot.lagging.get(project)
    current = None if index is None else index.projects.get(project)
    if index is None or current is None:
        return None
    if current < serial:
        is_wrong = snapshot.is_void(serial)
    else:  # there is no event of the serial to reach, if the index is new enough to know it
        is_wrong = lagging is not None and current < lagging.serial <= (index.serial or 0)
    return Proposal(project, current, Reason.REWOUND) if is_wrong else None


def _removal(project: NormalizedName, snapshot: Snapshot) -> Reason:
    """Return whether upstream's changelog announces that a project is gone, or did so before."""
    lagging = snapshot.lagging.get(project)
    known = lagging.allowed_removal if lagging is not None else AllowedRemoval.NOTHING
    announced = AllowedRemoval.PROJECT in {known, snapshot.removals.get(project)}
    return Reason.REMOVED if announced else Reason.UNANNOUNCED


def _reselect(project: NormalizedName, snapshot: Snapshot, selection: Selection) -> Proposal | None:
    """Propose what the configuration changes for a project."""
    config = snapshot.config
    if project in snapshot.named.deleted:
        return Proposal(project, 0, Reason.DELETED)
    if selection.blocks(project) or (config.projects and not selection.wants(project)):
        return Proposal(project, 0, _unwanted(project, selection))
    if config.pages or project in config.releases:
        return Proposal(project, 0, Reason.FORCED if config.forced else Reason.RESELECTED)
    return None


def _unwanted(project: NormalizedName, selection: Selection) -> Reason:
    """Return why a project leaves that is not selected."""
    if selection.blocks(project):
        return Reason.BLOCKED
    return Reason.MADE_PRIVATE if selection.private.has(project) else Reason.UNWANTED


def _compared_serial(serial: int, index_serial: int | None) -> int:
    """Return up to which serial the first comparison of root indexes has seen the changes.

    Upstream's root index may come from a cache and lack the last changes: the changelog has them.
    """
    if index_serial is None or index_serial < serial - _MAX_STALENESS:
        return serial
    return min(serial, index_serial)


def _differs(current: int, serial: int, pending: int, snapshot: Snapshot) -> bool:
    """Return whether upstream's serial of a project is not the mirror's, nor that of an open run.

    A lower one counts if the root index is new enough to know the mirror's: the project then lags,
    as upstream may have been restored. Where the mirror counts anew, upstream may have counted to
    the latest serials a second time.
    """
    if snapshot.reset:
        return current != serial or not snapshot.is_reached(serial + MAX_PROGRESS)
    if current > serial:
        return current > pending and snapshot.is_reached(current)
    index = snapshot.upstream_index
    known = index is not None and index.serial is not None and serial <= index.serial
    return current < serial and pending == -1 and known


def propose_missing(snapshot: Snapshot, comparison: Comparison) -> Iterator[Proposal]:
    """Propose upstream's projects that neither the mirror has nor a job brings."""
    for project, serial in comparison.missing.items():
        known = snapshot.in_progress.get(project, -1)
        if serial is not None:  # else nobody would notice that an excluded project changes
            known = max(known, snapshot.excluded.get(project, -1))
        if project not in snapshot.lagging and (serial or 0) > known:
            is_needed = project in snapshot.closure.unlisted
            yield Proposal(project, serial or 0, Reason.NEEDED if is_needed else Reason.NEW)


def propose_named(snapshot: Snapshot) -> Iterator[Proposal]:
    """Propose the deleted projects that are still stored, and those that come back."""
    yield from (Proposal(project, 0, Reason.DELETED) for project in snapshot.named.pending)
    yield from (Proposal(project, 0, Reason.NEW) for project in snapshot.restored)


def propose_due(snapshot: Snapshot) -> Iterator[Proposal]:
    """Propose the projects whose removed files are due for deletion."""
    yield from (Proposal(project, 0, Reason.DUE) for project in snapshot.due or ())


def propose_ripe(snapshot: Snapshot) -> Iterator[Proposal]:
    """Propose the projects of which files wait no longer."""
    yield from (Proposal(project, 0, Reason.RIPE) for project in snapshot.ripe.projects)


def advance(snapshot: Snapshot) -> Cursor:
    """Return how far upstream's answers bring the cursor."""
    changes, index, names = snapshot.changes, snapshot.upstream_index, snapshot.names
    selected = snapshot.config.fingerprint
    cursor = _compare_serials(snapshot.cursor, snapshot.serial, snapshot.now)
    cursor = replace(cursor, asked=snapshot.now, selected=selected, ripening=snapshot.ripe.ripening)
    if snapshot.due is not None:
        cursor = replace(cursor, deletions=snapshot.now)
    if index is not None or names is not None:
        cursor = replace(cursor, reconciled=snapshot.now)
    if snapshot.feed is not None:
        cursor = _follow(cursor, snapshot.feed, snapshot.now)
    if changes is not None:
        serial = max(cursor.serial or 0, changes.serial)
        if snapshot.feed is not None and index is not None:
            serial = max(serial, index.serial or 0)
        if cursor.serial is None and index is not None:
            serial = _compared_serial(serial, index.serial)
        upstream = changes.serial if snapshot.serial is None else snapshot.serial
        cursor = replace(cursor, serial=serial, upstream=upstream)
        return replace(cursor, changelog=snapshot.feed is None, no_change_feed=False)
    if names is not None:
        return replace(cursor, no_change_feed=True)
    if index is None:
        return cursor
    # A changelog that is away may come back with removals, which no index has: its serial stays.
    if index.serial is not None and not cursor.changelog and not _has_left(snapshot, index):
        cursor = replace(cursor, serial=max(cursor.serial or 0, index.serial))
    return replace(
        cursor,
        upstream=index.serial,
        root_etag="" if snapshot.in_progress else index.etag,  # those are compared again
        no_change_feed=all(serial is None for serial in index.projects.values()),
    )


def _follow(cursor: Cursor, feed: Position, now: float) -> Cursor:
    """Note how far the change feed was read.

    Where it begins, the root index is compared once more: a cache may have had an older one than
    the feed.
    """
    if feed.origin and not cursor.feed.origin:
        compared = now - COMPARISON_INTERVAL + _MAX_CACHED
        cursor = replace(cursor, reconciled=min(cursor.reconciled, compared))
    return replace(cursor, feed=feed)


def _has_left(snapshot: Snapshot, index: RootIndex) -> bool:
    """Return whether a project of an open run has left upstream's index since.

    It is removed once the run is closed; until then, the mirror has not reached the index.
    """
    return any(
        serial < (index.serial or 0) and project not in index.projects
        for project, serial in snapshot.in_progress.items()
    )


def _compare_serials(cursor: Cursor, serial: int | None, now: float) -> Cursor:
    """Note since when upstream's serial is below the cursor's.

    Where that lasted, upstream has counted up to the cursor a second time: what it counted is in no
    changelog from here on, but in its root index.
    """
    if serial is None or cursor.serial is None:
        return cursor
    if serial < cursor.serial:
        return replace(cursor, regressed=cursor.regressed or now)
    reconciled = 0.0 if cursor.is_regressed(now) else cursor.reconciled
    return replace(cursor, regressed=0.0, reconciled=reconciled)
