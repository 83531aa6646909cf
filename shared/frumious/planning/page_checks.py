"""Ask upstream about the pages whose turn it is: the I/O of the sweep."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec import structs

from frumious.errors import FrumiousError, explain
from frumious.model import layout
from frumious.planning.sweep import SWEEP_INTERVAL, Check, Turn, next_turn
from frumious.simple.values import InvalidPage
from frumious.state.status_files import parse_status
from frumious.upstream.addresses import HostRefused
from frumious.upstream.failures import UpstreamUnavailable
from frumious.upstream.upstream import PageCheck

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.pages import RootIndex
    from frumious.model.runs import Cursor
    from frumious.storage.protocol import Storage
    from frumious.upstream.upstream import Upstream

logger = logging.getLogger(__name__)

_CONCURRENT_CHECKS: Final = 5
_MAX_LOGGED: Final = 20  # projects in one log record


async def read_turn(  # noqa: PLR0913 (what decides)
    cursor: Cursor,
    names: Sequence[NormalizedName] | None,
    planned: Container[NormalizedName],
    mirror: Mirror,
    *,
    now: float,
    alone: bool,
) -> Turn:
    """Return the next turn of the sweep, with upstream's answers about all but `planned` projects.

    `names` are those that the mirror polls, None: all that it stores. With `alone`, nothing else
    shows whether upstream answers at all.

    Raises:
        UpstreamUnavailable, StorageUnavailable: with `alone`; no project could be checked.
    """
    sweep_days = mirror.config.sweep_days
    projects = 0
    slow = sweep_days and cursor.swept_at and not cursor.no_change_feed
    if slow and now >= cursor.swept_at + SWEEP_INTERVAL:
        projects = await _project_count(cursor, mirror.storage) or 1
    turn = next_turn(cursor, now, sweep_days, projects)
    if not turn.size:
        return turn
    if names is None:
        names = await _stored_projects(cursor.swept, turn.size, mirror)
    else:
        names = [name for name in names if name > cursor.swept][: turn.size]
    unplanned = [name for name in names if name not in planned]
    checks = await _check_all(unplanned, mirror, alone=alone)
    return structs.replace(turn, projects=names, checks=checks)


async def without_doubtful(
    turn: Turn, index: RootIndex | None, upstream: Upstream, *, polled: bool, alone: bool
) -> Turn:
    """Return the turn without missing pages that prove nothing.

    An upstream that is broken, or a wrong `master`, may have no page at all. A project is gone if
    upstream's root index lists others; unless projects are `polled` by name, it is enough that
    other pages are served in the same turn.

    Raises:
        UpstreamUnavailable: with `alone`; upstream serves neither a root index nor any page.
    """
    missing = [name for name, check in turn.checks.items() if check.stored and check.answer.missing]
    served = not all(check.answer.missing for check in turn.checks.values())
    if not missing or (served and not polled):
        return turn
    if index is None:
        with suppress(FrumiousError):
            index = await upstream.root_index()
    listed = {} if index is None else index.projects
    doubtful = tuple(name for name in missing if not listed or name in listed)
    if not doubtful:
        return turn
    if alone and not served and not listed:
        msg = (
            f"upstream has none of {len(missing)} project pages, and no root index: that is an"
            " outage, or master is wrong"
        )
        raise UpstreamUnavailable(msg)
    extra = {"projects": len(doubtful), "names": doubtful[:_MAX_LOGGED]}
    logger.warning(
        "missing pages are not believed: the root index does not confirm it", extra=extra
    )
    checks = {name: check for name, check in turn.checks.items() if name not in doubtful}
    return structs.replace(turn, checks=checks, doubtful=doubtful)


async def require_service(names: Sequence[NormalizedName], upstream: Upstream) -> None:
    """Make sure that upstream serves a root index, or a page of some of its projects.

    Raises:
        UpstreamUnavailable: neither, so this is no index, or none that mirrors can follow now.
    """
    with suppress(FrumiousError):
        if (index := await upstream.root_index()) is not None and index.projects:
            return
    for name in names[:_CONCURRENT_CHECKS]:
        if not (await upstream.check_page(name, etag="")).missing:
            return
    msg = "upstream has no root index and no project page: that is an outage, or master is wrong"
    raise UpstreamUnavailable(msg)


async def _project_count(cursor: Cursor, storage: Storage) -> int:
    """Return how many projects the mirror lists: quarantined ones have a page as well.

    Earlier versions kept that in status.json alone.
    """
    if cursor.projects is not None:
        return cursor.projects
    projects = parse_status(await storage.read(layout.STATUS_JSON)).get("projects")
    return projects if isinstance(projects, int) else 0


async def _stored_projects(after: str, count: int, mirror: Mirror) -> Sequence[NormalizedName]:
    """Return the next projects that have a page here, quarantined ones as well."""
    found: list[NormalizedName] = []
    async for project in mirror.pages.stored_projects(after):
        if mirror.selection.wants(project) and not mirror.selection.private.has(project):
            found.append(project)
            if len(found) == count:
                break
    return found


async def _check_all(
    projects: Sequence[NormalizedName], mirror: Mirror, *, alone: bool
) -> Mapping[NormalizedName, Check]:
    """Check projects; one that cannot be checked waits for another turn.

    With `alone`, nothing else shows whether upstream answers at all.

    Raises:
        UpstreamUnavailable, StorageUnavailable: no project could be checked.
    """
    limit = asyncio.Semaphore(_CONCURRENT_CHECKS)

    async def check(project: NormalizedName) -> Check:
        async with limit:
            try:
                manifest = await mirror.pages.read_manifest(project)
                publication = manifest.page.publication if manifest is not None else None
                etag = publication.etag if publication is not None else ""
                answer = await mirror.upstream.check_page(project, etag=etag)
            except (InvalidPage, HostRefused):  # the project's job reports it
                return Check(
                    stored=True, answer=PageCheck(serial=None, changed=True, missing=False)
                )
            return Check(stored=manifest is not None, answer=answer)

    answers = await asyncio.gather(*map(check, projects), return_exceptions=True)
    answered = zip(projects, answers, strict=True)
    checks = {project: answer for project, answer in answered if isinstance(answer, Check)}
    for answer in answers:
        failed = isinstance(answer, Exception)
        if isinstance(answer, BaseException) and (not failed or (alone and not checks)):
            raise answer
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    if errors:
        extra = {"projects": len(errors), "error": explain(errors[0])}
        logger.warning("projects could not be checked", extra=extra)
    return checks
