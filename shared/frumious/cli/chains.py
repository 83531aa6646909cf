"""Why a project is in the closure: the way that leads from a listed project to it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from packaging.specifiers import SpecifierSet

from frumious.model.blobs import mirrored_files
from frumious.selection.requirements import dependencies_of
from frumious.selection.subject import NO_CONTEXT, Subject
from frumious.simple.values import InvalidPage
from frumious.state.requirements import read_requirements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.closure import Need
    from frumious.selection.selection import Selection
    from frumious.selection.subject import Release

_SHOWN: Final = 5  # releases, and requirements


async def chain_lines(project: NormalizedName, mirror: Mirror) -> list[str]:
    """Return why a project is needed, by which releases; nothing if it is not."""
    selection, lines = mirror.selection, []
    for name, need in _way(project, selection):
        releases = await _releases_with(name, need, mirror)
        named = ", ".join(releases[:_SHOWN]) or "no stored release"
        more = f" and {len(releases) - _SHOWN} others" if len(releases) > _SHOWN else ""
        lines.append(f"{need.by} needs {need.requirement} ({named}{more})")
    if lines:
        lines[-1] += f"; {need.by} is {_root_text(need.by, selection)}"
    needs = selection.needed.projects.get(project, ())
    if len(needs) > 1:
        lines.append(f"all of {project} that is needed: {_needs_text(needs)}")
    return [*lines, *selection.needed.problems.get(project, ())]


def needed_files(
    project: NormalizedName, releases: Sequence[Release], selection: Selection
) -> Mapping[str, str]:
    """Return the files that match a requirement, and which."""
    found: dict[str, str] = {}
    for need in selection.needed.projects.get(project, ()):
        specifier = SpecifierSet(need.specifier)
        for release in releases:
            version = release.version
            if version is not None and specifier.contains(version, prereleases=True):
                for file in release.files:
                    found.setdefault(file.filename, f"{need.requirement} of {need.by}")
    return found


def _way(project: NormalizedName, selection: Selection) -> list[tuple[NormalizedName, Need]]:
    """Return the shortest way from a project to one that is selected by itself."""
    waiting = deque([(project, list[tuple["NormalizedName", "Need"]]())])
    seen = {project}
    while waiting:
        name, way = waiting.popleft()
        if way and _root_text(name, selection):
            return way
        for need in selection.needed.projects.get(name, ()):
            if need.by not in seen:
                seen.add(need.by)
                waiting.append((need.by, [*way, (name, need)]))
    return []


def _root_text(project: NormalizedName, selection: Selection) -> str:
    """Return why a project is selected by itself; empty: it is not."""
    if selection.private.has(project):
        return "private"
    if project in selection.named.requested:
        return "requested by name"
    return "listed" if selection.lists_name(project) else ""


def _needs_text(needs: Sequence[Need]) -> str:
    shown = (
        f"{need.requirement} (of {need.by}{f' and {need.others} others' if need.others else ''})"
        for need in needs[:_SHOWN]
    )
    more = f" and {len(needs) - _SHOWN} others" if len(needs) > _SHOWN else ""
    return f"{', '.join(shown)}{more}"


async def _releases_with(project: NormalizedName, need: Need, mirror: Mirror) -> list[str]:
    """Return the releases of `need.by` that have a requirement of a project."""
    try:
        manifest = await mirror.pages.read_manifest(need.by)
    except InvalidPage:
        return []
    if manifest is None:
        return []
    known = await read_requirements(need.by, mirror.storage)
    digests = {
        each.file.filename: each.metadata_digest for each in mirrored_files(need.by, manifest.page)
    }
    releases: dict[str, None] = {}
    for each in Subject.of(need.by, manifest.page, NO_CONTEXT).files:
        lines = known.of(digests.get(each.file.filename, ""))
        found = dependencies_of(lines, ())[0] if each.release not in releases else ()
        if any((one.project, one.specifier) == (project, need.specifier) for one in found):
            releases[each.release or "?"] = None
    return list(releases)
