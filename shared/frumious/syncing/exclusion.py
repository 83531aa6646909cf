"""What filters exclude by a project's page: its files, or all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from frumious.model.jobs import Outcome
from frumious.selection.subject import Context
from frumious.simple import legacy_json
from frumious.syncing.losses import book_loss
from frumious.syncing.removal import remove_project
from frumious.upstream.upstream import StalePage

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.jobs import Job, Result
    from frumious.model.pages import ProjectPage
    from frumious.syncing.page_publisher import PagePublisher
    from frumious.syncing.recovery import Attempt


async def remove_excluded(
    attempt: Attempt,
    page: ProjectPage,
    current: ProjectPage | None,
    publisher: PagePublisher,
    mirror: Mirror,
) -> Result:
    """Remove a project that filters exclude by its page; it counts as a loss."""
    booked = await book_loss(attempt, None, current, mirror)
    result = await remove_project(attempt, current, publisher, mirror.clock.now(), booked)
    outcome = Outcome.EXCLUDED if result.outcome is Outcome.ABSENT else result.outcome
    filters = mirror.selection.projects_fingerprint
    serial = max(result.serial or 0, page.serial or 0)
    return msgspec.structs.replace(result, outcome=outcome, serial=serial, excluded_by=filters)


def select_files(
    job: Job, page: ProjectPage, legacy: bytes | None, mirror: Mirror
) -> ProjectPage | None:
    """Return what the filters select of a page, all of a private one; None: nothing of it."""
    if mirror.selection.private.has(job.project):
        return page
    context = selection_context(legacy, mirror, named=job.named)
    return mirror.selection.select(job.project, page, context)


def selection_context(legacy: bytes | None, mirror: Mirror, *, named: bool) -> Context:
    """Return what filters may need to decide on a project besides its page."""
    return Context(
        now=mirror.clock.now(),
        named=named,
        legacy=None if legacy is None else legacy_json.parse(legacy),
    )


async def read_legacy_json(
    project: NormalizedName, page: ProjectPage, mirror: Mirror
) -> bytes | None:
    """Return the legacy JSON of a project, if a filter needs it and upstream has it.

    Raises:
        StalePage: it is older than the project's page.
    """
    if not mirror.selection.needs_legacy:
        return None
    body = await mirror.upstream.legacy_json(project)
    serial = None if body is None else legacy_json.parse(body).get("last_serial")
    if isinstance(serial, int) and page.serial is not None and serial < page.serial:
        msg = f"the legacy JSON of {project!r} is older than its page: {serial}"
        raise StalePage(msg)
    return body
