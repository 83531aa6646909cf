"""What advisories block of a project: it leaves the mirror whatever upstream does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from msgspec.structs import replace

from frumious.model.jobs import Outcome
from frumious.selection.advisories import blocked_on_page, is_malware
from frumious.syncing.page_publisher import PagePublisher
from frumious.syncing.removal import remove_project
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.mirror import Mirror
    from frumious.model.advisories import Advisory
    from frumious.model.jobs import Result
    from frumious.model.pages import ProjectPage
    from frumious.simple.values import ParsedPage
    from frumious.syncing.recovery import Attempt

_MAX_NAMED = 100  # advisories in a result


class Blocked(Value, frozen=True):
    """The files on the mirror's page that advisories block."""

    files: Mapping[str, Advisory]  # by their names

    @classmethod
    def of(cls, attempt: Attempt, current: ProjectPage | None) -> Self:
        """Find out what the mirror has of what is blocked."""
        return cls(blocked_on_page(attempt.job.project, current, attempt.advisories))

    @property
    def names(self) -> tuple[str, ...]:
        """The advisories."""
        return tuple(sorted({each.id for each in self.files.values()}))[:_MAX_NAMED]

    def at_once(self, attempt: Attempt) -> Attempt:
        """Return the attempt; malware is deleted at once, as what upstream quarantines is."""
        if attempt.job.quarantined or not is_malware(self.files.values()):
            return attempt
        return replace(attempt, job=replace(attempt.job, quarantined=True))

    def without(self, current: ProjectPage | None) -> ProjectPage | None:
        """Return the page without these files: upstream does not take them away."""
        if current is None or not self.files:
            return current
        kept = tuple(file for file in current.files if file.filename not in self.files)
        return replace(current, files=kept)

    def refuse(self, parsed: ParsedPage) -> ParsedPage:
        """Return upstream's page; what it names in a wrong way would stay on the mirror's."""
        if not self.files:
            return parsed
        refused = {name: why for name, why in parsed.refused.items() if name not in self.files}
        return replace(parsed, refused=refused)

    def note(self, result: Result) -> Result:
        """Return the result with the advisories because of which files left the page."""
        if not self.files or not result.outcome.changed:
            return result
        return replace(result, blocked_by=self.names)


async def remove_if_all_is_blocked(attempt: Attempt, mirror: Mirror) -> Result | None:
    """Remove a project of which the mirror has nothing but what is blocked; None: it has more.

    For where upstream does not answer, or not credibly: malware does not wait for that.
    """
    if not attempt.advisories.blocking:
        return None  # the page is not read again for a project of which nothing is blocked
    manifest = await mirror.pages.read_manifest(attempt.job.project)
    current = manifest.page if manifest is not None else None
    publisher = await PagePublisher.open(attempt, current, mirror)
    joined = publisher.second.joined(current)
    blocked = Blocked.of(attempt, joined)
    if joined is None or not blocked.files or len(blocked.files) < len(joined.files):
        return None
    return await remove_blocked(attempt, None, current, publisher, mirror)


async def remove_blocked(
    attempt: Attempt,
    serial: int | None,
    current: ProjectPage | None,
    publisher: PagePublisher,
    mirror: Mirror,
) -> Result:
    """Remove a project of which advisories block everything; that is no loss.

    `serial` is that of upstream's page, if the decision depends on it.
    """
    blocker = attempt.advisories.blocker
    blocked = Blocked.of(attempt, publisher.second.joined(current))
    if blocker is not None and is_malware([blocker]):
        attempt = replace(attempt, job=replace(attempt.job, quarantined=True))
    attempt = blocked.at_once(attempt)
    result = await remove_project(attempt, current, publisher, mirror.clock.now())
    if result.outcome is Outcome.REMOVED:
        names = blocked.names or tuple(each.id for each in attempt.advisories.blocking)
        result = replace(result, blocked_by=names[:_MAX_NAMED])
    if serial is None:
        return result
    outcome = Outcome.EXCLUDED if result.outcome is Outcome.ABSENT else result.outcome
    return replace(
        result,
        outcome=outcome,
        serial=max(result.serial or 0, serial),
        excluded_by=mirror.selection.projects_fingerprint,
    )
