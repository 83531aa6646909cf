"""Checks of the state files: damaged ones, those of a later version, those of another mirror."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.auditing.findings import Finding, Remedy
from frumious.auditing.snapshot_list import rebuild_snapshots
from frumious.model import layout
from frumious.model.advisories import Feed
from frumious.model.attestations import UnverifiedProjects
from frumious.model.closure import ClosureFile, Needed
from frumious.model.cooldown import HeldBackFile
from frumious.model.excluded import Excluded
from frumious.model.lists import Lists
from frumious.model.losses import Losses
from frumious.model.named import Deletion, NamedProjects
from frumious.model.notices import Notices
from frumious.model.private import PrivateListing
from frumious.model.runs import Cursor, Selected
from frumious.model.snapshots import SNAPSHOTS, Snapshots
from frumious.simple.values import InvalidPage
from frumious.snapshots.readers import readers_of
from frumious.state import inbox
from frumious.state.bundle_records import Exports, Imported
from frumious.state.changes import FeedState
from frumious.state.ledger import LaggingFile
from frumious.state.objects import LedgerCorrupt, NewerFormat, parse, set_aside
from frumious.state.snapshot_status import publish_snapshots
from frumious.state.snapshots import change_snapshots
from frumious.state.status_files import parse_serial, parse_status
from frumious.state.tombstones import Tombstone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from msgspec import Struct
    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.types import Key, RunId
    from frumious.storage.protocol import Stored

_REPAIR: Final = "run 'frumious doctor --repair'"
_KINDS: Final[dict[Key, type[Struct]]] = {
    layout.CURSOR: Cursor,
    layout.LAGGING: LaggingFile,
    layout.LOSSES: Losses,
    layout.SELECTION: Selected,
    layout.NAMED: NamedProjects,
    layout.EXCLUDED: Excluded,
    layout.PRIVATE: PrivateListing,
    layout.COOLDOWN: HeldBackFile,
    layout.LISTS: Lists,
    layout.UNVERIFIED: UnverifiedProjects,
    layout.NOTICES: Notices,
    layout.EXPORTS: Exports,
    layout.IMPORT: Imported,
    layout.FEED: FeedState,
    layout.CLOSURE: ClosureFile,
    layout.NEEDED: Needed,
    SNAPSHOTS: Snapshots,
}
_CONSEQUENCES: Final = {
    layout.CURSOR: "the next run compares the whole mirror with upstream",
    layout.LAGGING: "the next run compares all projects with upstream",
    layout.LOSSES: "max-losses counts from now on",
    layout.SELECTION: "the next run checks all projects",
    layout.NAMED: "requested and deleted projects are found again by pages and tombstones",
    layout.EXCLUDED: "the next comparison asks for the excluded projects once more",
    layout.PRIVATE: "the next run lists the private directory anew; names without files are public",
    layout.COOLDOWN: "the next run compares all pages with upstream",
    layout.LISTS: "the next run reads the lists anew",
    layout.UNVERIFIED: "the next jobs of its projects report their faults anew",
    layout.NOTICES: "the next run finds anew what waits for a person",
    layout.EXPORTS: "the next bundle is a complete one, and those who import begin anew",
    layout.IMPORT: "the next bundle has to be a complete one",
    layout.FEED: "it is made again from the published change feed",
    layout.CLOSURE: "the next run has all projects report what they need",
    layout.NEEDED: "the next run finds out what is needed",
    SNAPSHOTS: "it is made again from what snapshots keep; readers that were switched stay so",
}


async def check_state(mirror: Mirror) -> AsyncIterator[Finding]:
    """Check the objects below `state/`, except for those of single projects, and the status."""
    for key, kind in _KINDS.items():
        stored = await mirror.storage.read(key)
        if stored is None:
            continue
        try:
            parse(key, stored, kind)
        except (LedgerCorrupt, NewerFormat) as error:
            yield _damaged(key, stored, error, partial(_replace, key, stored, error))
    if await mirror.storage.head(layout.FEED_PROOF) is not None:
        yield Finding(
            subject=layout.FEED_PROOF,
            problem="upstream has rewritten the history of its change feed",
            advice="find out why; then delete this object, and run 'frumious mirror"
            " --reset-serials'",
        )
    async for finding in _check_inbox(mirror):
        yield finding
    status = await mirror.storage.read(layout.STATUS_JSON)
    if status is not None and not parse_status(status):
        yield _damaged_status(layout.STATUS_JSON, status)
    serial = await mirror.storage.read(layout.STATUS)
    if serial is not None and parse_serial(serial) is None:
        yield _damaged_status(layout.STATUS, serial)


async def check_cursor(mirror: Mirror) -> AsyncIterator[Finding]:
    """Check the cursor, which can be read, against the configuration, the clock and its runs."""
    cursor, now = await mirror.ledger.cursor(), mirror.clock.now()
    if cursor.is_foreign(mirror.config.master_fingerprint):
        yield Finding(
            subject=layout.CURSOR,
            problem="the mirror follows another index than master: nothing is planned",
            advice="correct master, or run 'frumious mirror --reset-serials' if it is right",
        )
    current = cursor.at(now)
    if replace(current, regressed=cursor.regressed) != cursor:
        yield Finding(
            subject=layout.CURSOR,
            problem="it has times in the future: a clock was wrong",
            advice=_REPAIR,
            repair=_forget_future,
        )
    if not cursor.named and await _has_named(mirror):
        yield Finding(
            subject=layout.CURSOR,
            problem="it is older than state/named.json: deleted projects may come back",
            advice=_REPAIR,
            repair=_note_named,
        )
    if cursor.ripening.revision and await mirror.storage.read(layout.COOLDOWN) is None:
        yield Finding(
            subject=layout.COOLDOWN,
            problem="it is missing: nobody knows which files wait until the cooldown is over",
            advice=f"{_REPAIR}; {_CONSEQUENCES[layout.COOLDOWN]}",
            repair=_read_cooldown,
        )
    try:
        await mirror.advisories.read(cursor.advisories.digest)
    except NewerFormat as error:
        yield Finding(subject=layout.ADVISORIES, problem=str(error), advice="run the later version")
    except LedgerCorrupt as error:
        yield Finding(
            subject=layout.ADVISORIES,
            problem=f"nobody knows what advisories block, so nothing is mirrored: {error}",
            advice=f"run 'frumious mirror', which reads the feed anew, or {_REPAIR}",
            repair=_forget_advisories,
        )
    for entry in cursor.runs:
        try:
            await mirror.ledger.plan(entry.run)
            await mirror.ledger.progress(entry.run)
        except NewerFormat as error:
            yield Finding(subject=entry.run, problem=str(error), advice="run the later version")
        except LedgerCorrupt as error:
            yield Finding(
                subject=f"run {entry.run}",
                problem=f"its plan or progress is lost: {error}",
                advice=f"{_REPAIR}: its changes are planned again",
                repair=partial(_drop_run, entry.run),
            )


async def check_root_index(mirror: Mirror) -> AsyncIterator[Finding]:
    """Check that the JSON root index can be read, unless a first run has yet to publish it.

    `frumious verify` compares it with the pages.
    """
    key, stored = await mirror.pages.read_root_index()
    problem = ""
    if stored is None:
        with suppress(LedgerCorrupt, NewerFormat):  # that is found by itself
            cursor = await mirror.ledger.cursor()
            if cursor.runs and cursor.projects is None:
                return  # a first run is open, and publishes it at its end
        async for project in mirror.pages.stored_projects():
            problem = f"it is missing, and there is a page of {project!r}"
            break
    else:
        try:
            for _ in await mirror.pages.listed_projects():
                pass
        except InvalidPage as error:
            problem = f"it is damaged: {error}"
    if problem:
        yield Finding(
            subject=key,
            problem=problem,
            advice=f"{_REPAIR}: it is made again from the project pages",
            repair=Remedy.ROOT_INDEX,
        )


async def _check_inbox(mirror: Mirror) -> AsyncIterator[Finding]:
    async for entry in mirror.storage.list(layout.INBOX):
        stored = await mirror.storage.read(entry.key)
        if stored is None:
            continue  # a finalizer has consumed it
        try:
            inbox.parse_reports(entry.key, stored)
        except (LedgerCorrupt, NewerFormat) as error:
            mend = partial(_mend_reports, entry.key, stored, error)
            yield _damaged(entry.key, stored, error, mend)


def _damaged(
    key: Key, stored: Stored, error: Exception, repair: Callable[[Mirror], Awaitable[None]]
) -> Finding:
    if isinstance(error, NewerFormat):
        return Finding(subject=key, problem=str(error), advice="run the later version")
    what = "is empty" if not stored.body else f"has {len(stored.body)} bytes that mean nothing"
    consequence = _CONSEQUENCES.get(key, "reports that can be read count")
    return Finding(
        subject=key,
        problem=f"it is damaged: it {what}",
        advice=f"{_REPAIR}, or restore an earlier version of the object; {consequence}",
        repair=repair,
    )


def _damaged_status(key: Key, stored: Stored) -> Finding:
    async def drop(mirror: Mirror) -> None:
        await set_aside(key, stored, InvalidPage(f"{key!r} is damaged"), mirror.storage)
        await mirror.storage.delete([key])

    return Finding(
        subject=key,
        problem="it is damaged",
        advice=f"run 'frumious mirror', which writes it again, or {_REPAIR}",
        repair=drop,
    )


async def _replace(key: Key, stored: Stored, error: Exception, mirror: Mirror) -> None:
    """Keep a copy of a damaged object, and let the next run find out what it contained."""
    storage, ledger = mirror.storage, mirror.ledger
    await set_aside(key, stored, error, storage)
    await storage.delete([key])
    if key == layout.LAGGING:
        await ledger.change_cursor(
            lambda cursor: replace(
                cursor,
                revision=cursor.revision + 1,  # a planner that read it before is overtaken
                reconciled=0.0,
                root_etag="",
                ripening=cursor.ripening.forgetting_plans(),
            )
        )
    elif key == layout.COOLDOWN:
        await _read_cooldown(mirror)
    elif key == layout.SELECTION:
        unknown = Selected(projects="unknown", pages="unknown")
        layouts = tuple(sorted({mirror.pages.layout.name, *unknown.layouts}))
        await ledger.write_selected(replace(unknown, layouts=layouts))
        await ledger.change_cursor(
            lambda cursor: replace(cursor, revision=cursor.revision + 1, selected="", selecting="")
        )
    elif key == layout.NAMED:
        named = await _rebuilt_named(mirror)
        await ledger.change_named(lambda _: named)
    elif key == SNAPSHOTS:
        found = await rebuild_snapshots(mirror.clock.now(), mirror.pages)
        served = await readers_of(mirror.config).served()
        found = replace(found, served=served if served in found.snapshots else None)
        await change_snapshots(lambda _: found, storage)
        await publish_snapshots(storage)


async def _rebuilt_named(mirror: Mirror) -> NamedProjects:
    """Return the named projects, as far as pages and tombstones say so."""
    now, selection = mirror.clock.now(), mirror.selection
    stored: set[NormalizedName] = {name async for name in mirror.pages.stored_projects()}
    deleted: dict[NormalizedName, Deletion] = {}
    async for entry in mirror.storage.list(layout.TOMBSTONES):
        project = layout.project_of_tombstone(entry.key)
        if project is None or project in stored:
            continue
        tombstone = await Tombstone.read(entry.key, mirror.storage)
        if tombstone is not None and tombstone.by_name:
            deleted[project] = Deletion(at=now, entry=selection.entry(project))
    requested = {project: now for project in stored if not selection.wants(project)}
    return NamedProjects(requested=requested, deleted=deleted)


async def _mend_reports(key: Key, stored: Stored, error: Exception, mirror: Mirror) -> None:
    await set_aside(key, stored, error, mirror.storage)
    await inbox.record(mirror.storage, inbox.intact_reports(key, stored))
    await mirror.storage.delete([key])


async def _forget_future(mirror: Mirror) -> None:
    now = mirror.clock.now()
    await mirror.ledger.change_cursor(lambda cursor: cursor.at(now))


async def _read_cooldown(mirror: Mirror) -> None:
    """Let the next planner look for the state of the cooldown, and find that it is lost."""
    await mirror.ledger.change_cursor(
        lambda cursor: replace(cursor, ripening=cursor.ripening.forgetting_plans())
    )


async def _forget_advisories(mirror: Mirror) -> None:
    await mirror.ledger.change_cursor(lambda cursor: replace(cursor, advisories=Feed()))


async def _note_named(mirror: Mirror) -> None:
    await mirror.ledger.change_cursor(lambda cursor: replace(cursor, named=True))


async def _has_named(mirror: Mirror) -> bool:
    try:
        return bool(await mirror.ledger.named())
    except (LedgerCorrupt, NewerFormat):
        return False  # its own finding


async def _drop_run(run: RunId, mirror: Mirror) -> None:
    await mirror.ledger.change_cursor(lambda cursor: cursor.without_lost_run(run))
