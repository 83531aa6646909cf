"""Read what one tick plans from: the ledger, upstream's answers, the mirror's own pages.

All I/O of planning up to the plan is here. Each object is read once, and only when the tick
needs it.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec import field, structs

from frumious.errors import FrumiousError, explain
from frumious.model import layout
from frumious.model.jobs import AllowedRemoval
from frumious.model.named import NO_NAMED_PROJECTS, NamedProjects
from frumious.model.private import PrivateListing
from frumious.planning import ripening
from frumious.planning.closure import NO_NEEDS, FoundNeeds, read_closure
from frumious.planning.config_changes import ConfigChanges, config_changes
from frumious.planning.discovery import COMPARISON_INTERVAL
from frumious.planning.due_deletions import read_due
from frumious.planning.feed import read_feed
from frumious.planning.named import polled_names, read_named, settle
from frumious.planning.page_checks import read_turn, require_service, without_doubtful
from frumious.planning.private_names import read_private, without_private
from frumious.planning.serials import confirmed_serial, last_serial
from frumious.planning.sweep import Turn
from frumious.state.objects import LedgerCorrupt
from frumious.state.status_files import parse_serial
from frumious.upstream.changelog import Changes, NoChangelog
from frumious.upstream.upstream import MAX_PROGRESS
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.config.choices import Removals
    from frumious.mirror import Mirror
    from frumious.model.changes import Position
    from frumious.model.pages import ListedProject, RootIndex
    from frumious.model.runs import Cursor, Lagging, OpenRun, Run
    from frumious.planning.ripening import Ripe
    from frumious.selection.selection import Selection
    from frumious.state.ledger import Ledger
    from frumious.storage.protocol import Storage
    from frumious.upstream.upstream import Upstream

logger = logging.getLogger(__name__)

_MAX_MIGRATED_EVENTS: Final = 2_000_000  # some three months of PyPI's, and forty calls
_MAX_LOGGED: Final = 20  # projects in one log record


class Snapshot(Value, frozen=True, kw_only=True):
    """Everything that one tick knows."""

    now: float  # seconds since the epoch
    cursor: Cursor
    foreign: bool = False  # `master` is another index than the cursor's: nothing is compared
    reset: bool = False  # the mirror counts anew
    serial: int | None = None  # upstream's own; None: it says nothing of it now
    lagging: Mapping[NormalizedName, Lagging] = field(default_factory=dict)
    config: ConfigChanges = field(default_factory=ConfigChanges)
    named: NamedProjects = NO_NAMED_PROJECTS  # without those that the configuration asks for again
    restored: frozenset[NormalizedName] = frozenset()  # what these are
    blocked: frozenset[NormalizedName] = frozenset()  # by advisories, as a whole
    settles_named: bool = False  # `named` is not what is stored
    names: Sequence[NormalizedName] | None = None  # to poll one by one; None: all there are
    changes: Changes | None = None  # by changelog or feed; None: upstream has none
    feed: Position | None = None  # that upstream's change feed has reached; None: it is not read
    feed_problem: str = ""  # why it is not followed for now
    migrating: bool = False  # the mirror was begun by another program
    upstream_index: RootIndex | None = None  # None: not needed, or unchanged
    # Projects that the filters exclude by their pages, and the serials of these.
    excluded: Mapping[NormalizedName, int] = field(default_factory=dict)
    in_progress: Mapping[NormalizedName, int] = field(default_factory=dict)  # serials of open runs
    # Projects of open runs that a change of the configuration may concern, listed or not.
    reselected: frozenset[NormalizedName] = frozenset()
    turn: Turn = field(default_factory=Turn)
    # Where removed files are due for deletion, and since which hours; None: this tick did not look.
    due: Mapping[NormalizedName, tuple[str, ...]] | None = None
    ripe: Ripe = ripening.NOTHING
    closure: FoundNeeds = NO_NEEDS
    own_index: Iterable[tuple[NormalizedName, ListedProject]] = ()  # a stream: it is read once
    # Projects that may have a page although no index lists them: quarantined ones that are not
    # wanted any more, and in the first comparison those of jobs whose results were not read yet,
    # or that took them out of the index a short time ago.
    unlisted: frozenset[NormalizedName] = frozenset()
    private: PrivateListing = field(default_factory=PrivateListing)  # the private directory
    keeps_private: bool = False  # it is not what is stored
    released: frozenset[NormalizedName] = frozenset()  # names that are not private any more

    @property
    def rewinds(self) -> bool:
        """Whether the mirror counts anew, or began to and has not compared everything since.

        Removals may wait for a confirmation in between.
        """
        cursor = self.cursor
        return self.reset or (bool(cursor.resets) and not cursor.serial and not cursor.reconciled)

    def is_reached(self, serial: int) -> bool:
        """Return whether upstream has counted up to a serial, as far as it says."""
        return self.serial is None or serial <= self.serial

    def is_void(self, serial: int) -> bool:
        """Return whether a serial of the mirror's is wrong: upstream is far below it.

        That proves nothing while upstream is below the cursor too: it may have been restored, and
        only an operator can know.
        """
        behind = self.serial is None or self.serial < (self.cursor.serial or 0)
        return not behind and not self.is_reached(serial - MAX_PROGRESS)

    @property
    def catching_up(self) -> bool:
        """Whether there are more events, which explain what upstream's index and pages say."""
        return self.changes is not None and not self.changes.complete

    @property
    def removals(self) -> Mapping[NormalizedName, AllowedRemoval]:
        """What upstream's changelog allows to remove."""
        return {} if self.changes is None else self.changes.allowed_removals


async def read_snapshot(mirror: Mirror, *, force: bool, reset: bool) -> Snapshot:
    """Read what the tick needs; with `force`, as for a configuration that is new in everything.

    With `reset` upstream's serials are counted anew, as at the first run.
    """
    discovery = mirror.config.discovery
    now = mirror.clock.now()
    cursor = (await mirror.ledger.cursor()).at(now)
    open_runs = cursor.runs
    master = mirror.config.master_fingerprint
    if reset:
        cursor = cursor.rewound()
    elif cursor.is_foreign(master):
        return Snapshot(now=now, cursor=cursor, foreign=True)
    overdue = now >= cursor.reconciled + COMPARISON_INTERVAL
    named = await read_named(cursor, mirror.ledger, verify=overdue or force)
    settled = settle(named, mirror.selection)
    blocked = await mirror.advisories.wholly_blocked(cursor.advisories.digest)
    selection = structs.replace(mirror.selection, named=settled, blocked=blocked)
    closure = await read_closure(cursor, selection, mirror)
    selection = structs.replace(selection, needed=closure.needed)
    mirror = structs.replace(mirror, selection=selection)
    config = await _read_config_changes(cursor, mirror, force=force)
    ripe = await ripening.read_ripe(cursor, mirror, now, verify=overdue)
    snapshot = Snapshot(
        now=now,
        ripe=ripe,
        cursor=structs.replace(
            cursor,
            master=master,
            named=bool(named) or cursor.named,
            lists=mirror.selection.lists,
            closure=closure.mark,
        ),
        closure=closure,
        named=settled,
        blocked=blocked,
        restored=frozenset(named.deleted.keys() - settled.deleted.keys()),
        settles_named=settled != named,
        reset=reset,
        names=polled_names(mirror.selection, discovery),
        lagging=await mirror.ledger.lagging() if cursor.lagging else {},
        config=structs.replace(config, pages=config.pages or ripe.lost or closure.lost),
    )
    snapshot = await read_private(snapshot, mirror)  # before upstream is asked for anything
    if discovery in {"auto", "changelog"}:
        try:
            snapshot = await _read_changelog(snapshot, mirror.upstream, mirror.storage)
        except NoChangelog:
            if discovery == "changelog":
                raise
            logger.info("upstream has no changelog")
    elif discovery == "feed":
        snapshot = await read_feed(snapshot, mirror)
    if reset and snapshot.names is not None and snapshot.changes is None:
        await require_service(snapshot.names, mirror.upstream)
    snapshot = await _read_upstream_index(
        snapshot, mirror.upstream, mirror.ledger, mirror.selection
    )
    snapshot = without_private(snapshot, mirror.selection.private)
    by_page = mirror.selection.projects or cursor.advisories.digest  # what may exclude projects
    if by_page and snapshot.upstream_index is not None and not (force or reset):
        excluded = await mirror.ledger.excluded()
        excluded_now = excluded.by(mirror.selection.projects_fingerprint)
        snapshot = structs.replace(snapshot, excluded=excluded_now)
    snapshot = await _read_open_runs(snapshot, mirror.ledger)
    snapshot = await _check_pages(snapshot, mirror)
    due = await read_due(snapshot.cursor, snapshot.lagging, mirror, now)
    snapshot = structs.replace(snapshot, due=due)
    own_index = snapshot.own_index
    if _needs_own_index(snapshot, mirror.config.max_removals):
        own_index = await mirror.pages.listed_projects()
    unlisted = await _unlisted(snapshot, open_runs, mirror)
    return structs.replace(snapshot, own_index=own_index, unlisted=unlisted)


async def _unlisted(
    snapshot: Snapshot, open_runs: Iterable[OpenRun], mirror: Mirror
) -> frozenset[NormalizedName]:
    """Return the projects that may have a page although no index lists them."""
    wants = mirror.selection.wants
    unlisted: set[NormalizedName] = set()
    if snapshot.upstream_index is not None and not snapshot.cursor.reconciled:
        unlisted |= {*filter(wants, snapshot.cursor.departures)}
        async for run in _plans(open_runs, mirror.ledger):
            unlisted |= {*filter(wants, run.jobs)}
    if snapshot.config.projects:
        stored = mirror.pages.stored_projects()
        unlisted |= {project async for project in stored if not wants(project)}
    return frozenset(unlisted)


async def _read_config_changes(cursor: Cursor, mirror: Mirror, *, force: bool) -> ConfigChanges:
    """Compare the configuration with the stored one, unless the cursor knows that they agree.

    The cursor does not learn that while a run is open: the planner that opened it, perhaps with
    another configuration, may still have to store its own.
    """
    current = mirror.selected
    if not force and cursor.selected == current.fingerprint:
        return ConfigChanges(fingerprint=cursor.selected)
    stored = await mirror.ledger.selected()
    changes = config_changes(stored, current, force=force, opened=cursor.selecting)
    return structs.replace(changes, fingerprint="") if cursor.runs else changes


async def _read_changelog(snapshot: Snapshot, upstream: Upstream, storage: Storage) -> Snapshot:
    """Add the changes since the cursor; at first, only the serial that the changelog has reached.

    Where another program left its serial in `status`, add what upstream has removed since.
    """
    since = snapshot.cursor.serial
    serial = await last_serial(since, upstream)  # before anything else: later changes come next
    snapshot = structs.replace(snapshot, serial=serial)
    changes = Changes({}, {}, serial)
    if since is not None:
        if serial < since:
            changes = structs.replace(changes, serial=since)
        elif serial > since:
            changes = await upstream.changes_since(since, until=serial)
        return structs.replace(snapshot, changes=changes)
    since = parse_serial(await storage.read(layout.STATUS))
    if since is None or snapshot.reset:
        return structs.replace(snapshot, changes=changes)
    if serial - _MAX_MIGRATED_EVENTS <= since < serial:
        removals = (await upstream.changes_since(since, until=serial)).allowed_removals
        changes = structs.replace(changes, allowed_removals=removals)
    return structs.replace(snapshot, changes=changes, migrating=True)


async def _read_upstream_index(
    snapshot: Snapshot, upstream: Upstream, ledger: Ledger, selection: Selection
) -> Snapshot:
    """Add upstream's root index where it is due, or shows which other projects are selected."""
    cursor, by_index = snapshot.cursor, snapshot.changes is None
    overdue = snapshot.now >= cursor.reconciled + COMPARISON_INTERVAL and not snapshot.catching_up
    due = snapshot.names is None and (by_index or cursor.serial is None or overdue)
    if any(run.staged for run in cursor.runs) and not snapshot.reset:
        due = False  # what a large plan has not brought yet is not missing
    reselecting = snapshot.config.projects and selection.exact_projects is None
    if not due and not reselecting:
        return snapshot
    etag = cursor.root_etag if by_index and not (reselecting or overdue) else ""
    try:
        index = await upstream.root_index(etag=etag)
    except FrumiousError as error:
        if by_index or reselecting or cursor.serial is None:
            raise
        logger.error("projects are not compared", extra={"error": explain(error)})  # noqa: TRY400
        return snapshot  # what the changelog names does not wait for it
    if index is not None:
        serial = await confirmed_serial(snapshot.serial, index, upstream)
        snapshot = structs.replace(snapshot, serial=serial)
        wrong = (
            project
            for project, each in index.projects.items()
            if each is not None and not snapshot.is_reached(each - MAX_PROGRESS)
        )
        if projects := list(islice(wrong, _MAX_LOGGED)):
            extra = {"projects": projects, "serial": serial}
            logger.warning("serials of the root index are implausible: ignored", extra=extra)
    in_progress: dict[NormalizedName, int] = {}
    if by_index and index is not None:
        for run in cursor.runs:
            with suppress(LedgerCorrupt):  # a lost run: its projects are compared again
                in_progress |= (await ledger.plan(run.run)).jobs
    return structs.replace(snapshot, upstream_index=index, in_progress=in_progress)


async def _read_open_runs(snapshot: Snapshot, ledger: Ledger) -> Snapshot:
    """Add the projects of open runs if the configuration has changed.

    Their jobs may have been done by the earlier one, and the root index lacks them as long as the
    finalizer has not read that.
    """
    config = snapshot.config
    if config.forced or not (config.projects or config.pages or config.releases):
        return snapshot
    projects: set[NormalizedName] = set()
    async for run in _plans(snapshot.cursor.runs, ledger):
        projects |= run.jobs.keys() - run.named
    return structs.replace(snapshot, reselected=frozenset(projects))


async def _plans(runs: Iterable[OpenRun], ledger: Ledger) -> AsyncIterator[Run]:
    """Yield the plans of runs, but for those that are lost: their projects are compared again."""
    for entry in runs:
        with suppress(LedgerCorrupt):
            yield await ledger.plan(entry.run)


async def _check_pages(snapshot: Snapshot, mirror: Mirror) -> Snapshot:
    """Add the turn of the sweep; what is planned or retried anyway is not checked."""
    planned = {*snapshot.lagging, *(name for run in snapshot.cursor.runs for name in run.retries)}
    if snapshot.changes is not None:
        planned |= snapshot.changes.projects.keys()
    cursor, names, index = snapshot.cursor, snapshot.names, snapshot.upstream_index
    followed = snapshot.feed is not None and snapshot.changes is not None
    if followed or snapshot.catching_up:  # upstream's own sweep is in its feed
        return structs.replace(snapshot, turn=Turn(until=cursor.swept_at))
    alone = snapshot.changes is None and index is None
    turn = await read_turn(cursor, names, planned, mirror, now=snapshot.now, alone=alone)
    polled = names is not None
    turn = await without_doubtful(turn, index, mirror.upstream, polled=polled, alone=alone)
    return structs.replace(snapshot, turn=turn)


def _needs_own_index(snapshot: Snapshot, limit: Removals) -> bool:
    config, projects = snapshot.config, snapshot.cursor.projects or 0
    removed = sum(allowed is AllowedRemoval.PROJECT for allowed in snapshot.removals.values())
    return (
        snapshot.upstream_index is not None
        or config.projects
        or config.pages
        or bool(config.releases)
        or any(check.answer.missing for check in snapshot.turn.checks.values())
        or removed > limit.announced(projects)
        or snapshot.private.has_lost
    )
