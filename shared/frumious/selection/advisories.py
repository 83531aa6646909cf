"""What advisories block of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.model.advisories import Severity
from frumious.selection.subject import Context, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.utils import NormalizedName

    from frumious.model.advisories import Advisory, ProjectAdvisories
    from frumious.model.pages import ProjectPage
    from frumious.selection.subject import ReleaseFile

PREFIX = "advisory "


def reason(advisory: Advisory) -> str:
    """Return what keeps something out, as filters are named."""
    return f"{PREFIX}{advisory.id}"


def blocked_files(
    files: Iterable[ReleaseFile], advisories: ProjectAdvisories
) -> dict[str, Advisory]:
    """Return the files that advisories block, by their names."""
    blocked: dict[str, Advisory] = {}
    if advisories.blocking:
        for each in files:
            advisory = advisories.blocker_of(each.release, each.file.hashes.get("sha256"))
            if advisory is not None:
                blocked[each.file.filename] = advisory
    return blocked


def blocked_on_page(
    project: NormalizedName, page: ProjectPage | None, advisories: ProjectAdvisories
) -> Mapping[str, Advisory]:
    """Return the files on a page that advisories block, by their names."""
    if page is None or not advisories.blocking:
        return {}
    return blocked_files(Subject.of(project, page, Context()).files, advisories)


def is_malware(blocked: Iterable[Advisory]) -> bool:
    """Return whether one of the advisories is of malware."""
    return any(advisory.severity is Severity.MALWARE for advisory in blocked)
