"""What differs between two snapshots, or a snapshot and the live index.

Only a project for which one of them keeps a page can differ: two listings find them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from frumious.concurrency import run_all
from frumious.model.pages import File, ProjectPage
from frumious.model.snapshots import LIVE
from frumious.selection.kept_pages import shown_page
from frumious.simple import kept_page
from frumious.snapshots.delete import kept_projects
from frumious.snapshots.errors import find
from frumious.state.snapshots import read_kept_page, read_snapshots

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror

_COMPARED: Final = tuple(
    name for name in File.__struct_fields__ if name not in {"filename", "url", "extra"}
)
_NO_STATUS: Final = "active"


@dataclass(frozen=True, slots=True)
class ProjectDiff:
    """What differs between two pages of a project."""

    project: NormalizedName
    added: tuple[str, ...]  # filenames
    removed: tuple[str, ...]
    changed: Mapping[str, tuple[str, ...]]  # filename -> what of it: names of fields of File
    status: tuple[str, str] | None = None  # PEP 792, before and after

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.added or self.removed or self.changed or self.status)


async def diff(before: str, after: str, mirror: Mirror) -> AsyncIterator[ProjectDiff]:
    """Yield the projects that differ, sorted; a name may be LIVE.

    Raises:
        SnapshotError: there is no snapshot of a name.
        InvalidPage, LedgerCorrupt: a page is damaged.
    """
    known = await read_snapshots(mirror.storage)
    names = [name for name in (before, after) if name != LIVE]
    for name in names:
        find(name, known)
    projects = {project for name in names async for project in kept_projects(name, mirror)}
    ordered, at_once = sorted(projects), mirror.config.workers
    for first in range(0, len(ordered), at_once):
        batch = ordered[first : first + at_once]
        for each in await run_all(_diff_of(project, before, after, mirror) for project in batch):
            if each:
                yield each


async def _diff_of(project: NormalizedName, before: str, after: str, mirror: Mirror) -> ProjectDiff:
    # The live page first: what a snapshot does not keep by then, the live page is.
    live = await mirror.pages.read_page(project)
    old, new = [await _page(name, project, live, mirror) for name in (before, after)]
    return compare(project, old, new)


async def _page(
    name: str, project: NormalizedName, live: ProjectPage | None, mirror: Mirror
) -> ProjectPage | None:
    kept = None if name == LIVE else await read_kept_page(name, project, mirror.storage)
    if kept is None:
        return live
    return shown_page(project, kept_page.parse(name, project, kept), kept.withheld)


def compare(
    project: NormalizedName, before: ProjectPage | None, after: ProjectPage | None
) -> ProjectDiff:
    """Compare two pages of a project; None counts as one without files. Pure."""
    old, new = _files(before), _files(after)
    changed: dict[str, tuple[str, ...]] = {}
    for filename in sorted(old.keys() & new.keys()):
        one, other = old[filename], new[filename]
        differing = tuple(name for name in _COMPARED if getattr(one, name) != getattr(other, name))
        if differing:
            changed[filename] = differing
    statuses = _status(before), _status(after)
    return ProjectDiff(
        project,
        tuple(sorted(new.keys() - old.keys())),
        tuple(sorted(old.keys() - new.keys())),
        changed,
        statuses if statuses[0] != statuses[1] else None,
    )


def _files(page: ProjectPage | None) -> Mapping[str, File]:
    return {} if page is None else {file.filename: file for file in page.files}


def _status(page: ProjectPage | None) -> str:
    return _NO_STATUS if page is None or page.status is None else page.status.status
