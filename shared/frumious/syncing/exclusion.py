"""What filters and the cooldown exclude by a project's page: its files, or all of it."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final

from msgspec import field
from msgspec.structs import replace

from frumious.model.advisories import NO_ADVISORIES
from frumious.model.jobs import Outcome
from frumious.selection.advisories import PREFIX
from frumious.selection.cooldown import with_known_times
from frumious.selection.subject import Context
from frumious.simple import legacy_json
from frumious.syncing.blocking import remove_blocked
from frumious.syncing.losses import book_loss
from frumious.syncing.removal import remove_project
from frumious.upstream.upstream import StalePage
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.advisories import ProjectAdvisories
    from frumious.model.closure import Dependencies
    from frumious.model.jobs import Job, Result
    from frumious.model.pages import ProjectPage
    from frumious.syncing.page_publisher import PagePublisher
    from frumious.syncing.recovery import Attempt

logger = logging.getLogger(__name__)

_MAX_LOGGED: Final = 20  # files in one log record


async def remove_excluded(  # noqa: PLR0913, PLR0917 (what decides)
    attempt: Attempt,
    page: ProjectPage,
    legacy: bytes | None,
    current: ProjectPage | None,
    publisher: PagePublisher,
    mirror: Mirror,
) -> Result:
    """Remove a project that filters exclude by its page; it counts as a loss.

    It does not if advisories alone exclude it.
    """
    job = attempt.job
    if attempt.advisories and select_files(job, page, legacy, mirror, known=current).page:
        return await remove_blocked(attempt, page.serial or 0, current, publisher, mirror)
    booked = await book_loss(attempt, None, current, mirror)
    result = await remove_project(attempt, current, publisher, mirror.clock.now(), booked)
    outcome = Outcome.EXCLUDED if result.outcome is Outcome.ABSENT else result.outcome
    filters = mirror.selection.projects_fingerprint
    serial = max(result.serial or 0, page.serial or 0)
    return replace(result, outcome=outcome, serial=serial, excluded_by=filters)


class SelectedPage(Value, frozen=True):
    """What is selected of a page."""

    page: ProjectPage | None  # None: nothing of the project
    held_back: Mapping[str, float] = field(default_factory=dict)  # as in Decision
    anytime: ProjectPage | None = None  # what would be selected without the cooldown
    hidden: frozenset[str] = frozenset()  # files that nobody is to hear of
    problem: str = ""  # as in Decision
    dependencies: Dependencies | None = None  # of what is selected, as far as it is stored

    def reported(self, result: Result) -> Result:
        """Return a result that says how many files wait, and until when the first of them does."""
        waiting = self._waiting
        if len(waiting) < len(self.held_back):
            names = [name for name, until in self.held_back.items() if until == math.inf]
            extra = {"project": result.project, "files": len(names), "names": names[:_MAX_LOGGED]}
            logger.warning("the cooldown holds files back for good", extra=extra)
        return replace(
            result,
            held_back=len(waiting),
            ripens=self.ripens,
            dependencies=self.dependencies,
        )

    @property
    def ripens(self) -> float:
        """When the first of the files that are held back is ripe; 0: never."""
        return min(self._waiting, default=0.0)

    @property
    def _waiting(self) -> list[float]:
        return [until for until in self.held_back.values() if until < math.inf]


def select_files(  # noqa: PLR0913, PLR0917 (what decides)
    job: Job,
    page: ProjectPage,
    legacy: bytes | None,
    mirror: Mirror,
    advisories: ProjectAdvisories = NO_ADVISORIES,
    known: ProjectPage | None = None,
) -> SelectedPage:
    """Return what filters, cooldown and advisories select of a page: all of a private one.

    `known` is what the mirror has of the project.
    """
    project, selection = job.project, mirror.selection
    is_filtered = selection.filters_pages_of(project) or bool(advisories.blocking)
    if selection.private.has(project) or not is_filtered:
        return SelectedPage(page, anytime=page)
    if selection.cooldown is not None:
        page = with_known_times(page, known)
    context = selection_context(legacy, mirror, advisories, named=job.named)
    decision = selection.decide(project, page, context)
    selected = anytime = decision.page(page)
    shows_all = selection.simple_all or (selected is not None and not selected.files)
    if decision.held_back and shows_all:
        anytime = selection.select(project, page, replace(context, now=math.inf))
    blocked = (name for name, why in decision.files.items() if why.startswith(PREFIX))
    hidden = frozenset((*decision.held_back, *blocked))
    return SelectedPage(selected, decision.held_back, anytime, hidden, decision.problem)


def selection_context(
    legacy: bytes | None, mirror: Mirror, advisories: ProjectAdvisories, *, named: bool
) -> Context:
    """Return what filters may need to decide on a project besides its page."""
    return Context(
        now=mirror.clock.now(),
        named=named,
        legacy=None if legacy is None else legacy_json.parse(legacy),
        advisories=advisories,
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
