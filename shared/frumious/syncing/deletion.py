"""Deletes files that no page needs any more, and only those that belong to the project.

Pages that snapshots keep need theirs as well, except for what is withheld of them.

A file's name says which projects it can belong to. A project's own page does not prove anything: a
hostile one lists another project's file first, and drops it afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.model import layout
from frumious.model.blobs import keys_of, known_hashes, mirrored_files
from frumious.selection.filenames import owners_of
from frumious.simple.values import InvalidPage
from frumious.state.removed_files import (
    forget_deleted,
    keep_removed_files,
    latest_deletion,
    read_removed_files,
    reschedule,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.blobs import MirroredFile
    from frumious.model.jobs import Job
    from frumious.model.types import Key
    from frumious.state.page_store import PageStore
    from frumious.state.removed_files import Booked
    from frumious.syncing.comparison import CurrentPage
    from frumious.syncing.page_builder import BuiltPage
    from frumious.syncing.recovery import Recovery

_MAX_OWNERS: Final = 8  # that are asked; a file whose name allows more is kept


async def delete_files(project: NormalizedName, keys: Collection[Key], pages: PageStore) -> None:
    """Delete the files that belong to the project, which its page does not name any more.

    What a snapshot shows stays.
    """
    await pages.storage.delete(sorted(await deletable_keys(project, keys, pages)))


async def deletable_keys(
    project: NormalizedName, keys: Collection[Key], pages: PageStore
) -> frozenset[Key]:
    """Return those of the keys that belong to the project, and that no snapshot shows."""
    owned = await own_keys(project, keys, pages)
    return owned - await _shown_keys(project, owned, pages) if owned else owned


async def delete_due(
    project: NormalizedName,
    hours: Collection[str] | None,
    now: float,
    pages: PageStore,
    delay: float = 0.0,
) -> None:
    """Delete the removed files that are due, at the hours or by now; all, if `hours` is None.

    What the page names (a file came back), or what is due later (it was removed once more), stays.
    What a clock that was ahead has scheduled for later than `delay` seconds waits so long from now.

    Raises:
        Conflict: another job of the project is at work.
    """
    removed, etag = await read_removed_files(project, pages.storage)
    latest = latest_deletion(now, delay)
    if delay and hours is not None and (late := {hour for hour in hours if hour > latest}):
        await reschedule(project, removed, late, now + delay, etag, pages.storage)
        hours = {*hours} - late
        removed, etag = await read_removed_files(project, pages.storage)
    hours = removed.due.keys() if hours is None else hours
    due = {*hours, *(hour for hour in removed.due if hour <= layout.hour(now))}
    later = chain.from_iterable(keys for hour, keys in removed.due.items() if hour not in due)
    keys = frozenset(chain.from_iterable(removed.due.get(hour, ()) for hour in due)) - {*later}
    if keys:
        manifest = await pages.read_manifest(project)
        page = manifest.page if manifest is not None else None
        await delete_files(project, keys - keys_of(mirrored_files(project, page)), pages)
    await forget_deleted(project, removed, due, etag, pages.storage)


async def own_keys(
    project: NormalizedName, keys: Collection[Key], pages: PageStore
) -> frozenset[Key]:
    """Return the keys that certainly belong to the project.

    Most names say it. Where a name allows other projects as well, none of their pages names the
    file. Every other file stays in the storage, even if no page names it.
    """
    owned: set[Key] = set()
    ambiguous: defaultdict[NormalizedName, set[Key]] = defaultdict(set)
    for key in keys:
        owners = _owners(project, key)
        if project in owners and len(owners) <= _MAX_OWNERS:
            owned.add(key)
            for other in owners - {project}:
                ambiguous[other].add(key)
    for other, candidates in ambiguous.items():
        owned.difference_update(await named_keys(other, candidates, pages))
    return frozenset(owned)


def _owners(project: NormalizedName, key: Key) -> frozenset[NormalizedName]:
    if key.startswith(f"web/integrity/{project}/"):
        return frozenset({project})
    if key.startswith("web/packages/"):
        return owners_of(layout.filename(key).removesuffix(".metadata"))
    return frozenset()


async def _shown_keys(
    project: NormalizedName, keys: Collection[Key], pages: PageStore
) -> frozenset[Key]:
    """Return those of the keys that snapshots show; all, if nobody can say which these are."""
    shown: set[Key] = set()
    for owner in {project}.union(*(_owners(project, key) for key in keys)):
        found = await pages.snapshots.shown_keys(owner)
        if found is None:
            return frozenset(keys)
        shown |= found
    return frozenset(shown)


async def named_keys(
    project: NormalizedName, keys: Collection[Key], pages: PageStore
) -> Collection[Key]:
    """Return those of the keys that a project's page names; all, if the page is unreadable."""
    try:
        page = await pages.read_page(project)
        return keys_of(mirrored_files(project, page)).intersection(keys)
    except (InvalidPage, layout.UnsafeName):
        return keys


async def settle_removed(  # noqa: PLR0913, PLR0917 (what decides)
    job: Job,
    built: BuiltPage,
    current_page: CurrentPage,
    others: Iterable[MirroredFile],
    recovery: Recovery,
    booked: Booked | None,
    mirror: Mirror,
) -> BuiltPage:
    """Keep what is to be known of removed files; let the page report only what may be deleted.

    `others` are files that no page will name, nor did this one: their hashes are kept.

    They are deleted later, but at once where there is a quarantine: then all that is left of them.

    Raises:
        Conflict: another job keeps removed files too.
    """
    publication = built.page.publication
    if publication is None:
        return built
    project, pages, current = job.project, mirror.pages, current_page.page
    before = current.publication if current is not None else None
    named = known_hashes(built.page.files)
    dropped = [each for each in current_page.files if known_hashes([each.file]).keys() - named]
    dropped += others
    delay = mirror.config.delete_after
    removed = {*publication.removed}
    if built.page.quarantined or job.quarantined:
        delay = 0.0
        removed |= current_page.removed.undeleted - keys_of(built.files)  # some came back
    removed = {*await own_keys(project, removed, pages)}
    # Also what this job deletes: if it is killed, and the page damaged, nothing else names that.
    scheduled = removed - (recovery.scheduled - keys_of(current_page.files))
    delete_at = mirror.clock.now() + delay
    await keep_removed_files(project, dropped, scheduled, delete_at, booked, mirror.storage)
    publication = replace(
        publication,
        removed=tuple(sorted(removed)),
        removed_files=bool(dropped or scheduled or current_page.removed.hashes)
        or (before is not None and before.removed_files),
        delayed=bool(delay and removed),
    )
    return replace(built, page=replace(built.page, publication=publication))
