"""Projects are asked for in turn, with their ETag: for what changes without an event.

Upstream tells nobody that a project was archived, or that a file got its metadata late. Where
it tells of no changes at all, the same is done as fast as is polite.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from frumious.model import layout
from frumious.model.jobs import AllowedRemoval
from frumious.model.plans import Reason
from frumious.planning.discovery import short_allowlist
from frumious.simple.values import InvalidPage
from frumious.state.manifest import read_manifest
from frumious.state.root_index_reader import listed_projects
from frumious.upstream.client import HostRefused, UpstreamUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.runs import Cursor
    from frumious.planning.plan_builder import Draft

logger = logging.getLogger(__name__)

_EVERY: Final = 300  # seconds between two parts of a slow sweep
_MOST: Final = 500  # projects in one part of it
_MOST_BLIND: Final = 200  # at each tick, where upstream tells of no changes
_AT_ONCE: Final = 5  # requests
_DAY: Final = 24 * 3600


async def sweep(cursor: Cursor, draft: Draft, mirror: Mirror) -> Cursor:
    """Ask for the projects whose turn it is, add those that differ, and return the cursor.

    Raises:
        UpstreamUnavailable: upstream did not answer.
    """
    now = time.time()
    count, until = (_MOST_BLIND, now) if cursor.no_change_feed else await _due(cursor, mirror, now)
    if not count:
        return cursor if cursor.swept_at else replace(cursor, swept_at=now)
    allowed = mirror.selection.exact_projects if mirror.config.discovery == "names" else None
    names = allowed if allowed is not None else short_allowlist(mirror)
    if names is not None:
        wanted = sorted(filter(mirror.selection.wants, names))
        turn = [name for name in wanted if name > cursor.swept][:count]
    else:
        turn = await _held_after(cursor.swept, count, mirror)
    known = {*draft.jobs, *await mirror.ledger.lagging()}
    known |= {name for run in cursor.runs for name in run.retries}
    gone = await _ask([name for name in turn if name not in known], draft, mirror)
    if gone and names is None:  # the comparison by index tells of those that are listed
        gone -= {name for name, _ in await listed_projects(mirror) if name in gone}
    for name in gone:
        draft.add(name, 0, Reason.REMOVED, allowed_removal=AllowedRemoval.PROJECT)
    return replace(cursor, swept=turn[-1] if len(turn) == count else "", swept_at=until)


async def _due(cursor: Cursor, mirror: Mirror, now: float) -> tuple[int, float]:
    """Return how many projects have to be asked for, to come round in `sweep-days`, and by when.

    By now, but for the part of a project that is left over.
    """
    elapsed = now - cursor.swept_at
    if not mirror.config.sweep_days or not cursor.swept_at or elapsed < _EVERY:
        return 0, now
    stored = await mirror.storage.read(layout.STATUS_JSON)
    projects = 0 if stored is None else json.loads(stored.body).get("projects") or 0
    if not projects:
        return 0, now
    each = mirror.config.sweep_days * _DAY / projects  # seconds
    count = int(elapsed / each)
    return (_MOST, now) if count > _MOST else (count, cursor.swept_at + count * each)


async def _held_after(project: str, count: int, mirror: Mirror) -> list[NormalizedName]:
    """Return the next projects that have a page here, quarantined ones as well."""
    found: list[NormalizedName] = []
    pages = mirror.pages
    after = pages.after_manifest(project) if project else ""
    async for entry in mirror.storage.list(pages.manifest_prefix, after=after):
        name = pages.project_of(entry.key)
        if name is not None and mirror.selection.wants(name):
            found.append(name)
            if len(found) == count:
                break
    return found


async def _ask(
    names: Collection[NormalizedName], draft: Draft, mirror: Mirror
) -> set[NormalizedName]:
    """Add the projects that differ from upstream's, and return those that only the mirror has."""
    gone: set[NormalizedName] = set()
    at_once = asyncio.Semaphore(_AT_ONCE)
    failed: list[UpstreamUnavailable] = []

    async def ask(name: NormalizedName) -> None:
        async with at_once:
            try:
                manifest = await read_manifest(name, mirror)
            except InvalidPage:
                draft.add(name, 0, Reason.DIFFERS)
                return
            publication = manifest.page.publication if manifest is not None else None
            unless = publication.etag if publication is not None else ""
            try:
                asked = await mirror.upstream.check_page(name, etag=unless)
            except HostRefused:
                draft.add(name, 0, Reason.DIFFERS)  # its job says why that cannot be followed
                return
            except UpstreamUnavailable as error:
                failed.append(error)
                logger.info("project is asked for later", extra={"project": name})
                return
        if asked.missing and manifest is not None:
            gone.add(name)
        elif asked.changed and not asked.missing:
            reason = Reason.NEW if manifest is None else Reason.DIFFERS
            draft.add(name, asked.serial or 0, reason)

    await asyncio.gather(*(ask(name) for name in names))
    if failed and len(failed) == len(names):
        raise failed[0]
    return gone
