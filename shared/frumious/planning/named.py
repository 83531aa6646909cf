"""Projects that people name: what `sync` requests past the filters, and what `delete` deletes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.errors import FrumiousError
from frumious.model.named import NO_NAMED_PROJECTS, Deletion, NamedProjects
from frumious.model.types import MAX_NAME_LENGTH
from frumious.private.refresh import refresh
from frumious.simple.values import project_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.runs import Cursor
    from frumious.selection.selection import Selection
    from frumious.state.ledger import Ledger

_MAX_POLLED_NAMES: Final = 500  # of an allowlist; a longer one is compared by root index


class InvalidProject(FrumiousError):
    """A name that no project can have."""


def parse_names(names: Iterable[str]) -> list[NormalizedName]:
    """Return the normalised names of projects.

    Raises:
        InvalidProject: a name is not a project's.
    """
    projects: list[NormalizedName] = []
    for name in names:
        project = project_name(name)
        if project is None:
            msg = (
                f"{name!r:.120} is not a project's name: up to {MAX_NAME_LENGTH} letters, digits,"
                " '.', '-' and '_' are allowed"
            )
            raise InvalidProject(msg)
        projects.append(project)
    return projects


async def request(mirror: Mirror, projects: Collection[NormalizedName]) -> None:
    """Keep projects in the mirror that the configuration does not select, until they are deleted.

    Deleted ones come back. What the configuration selects is not recorded: it leaves the mirror
    when the configuration no longer does.

    Raises:
        PrivateName: one of them is private, and the private directory has no file of it.
    """
    if mirror.private is not None:
        await refresh(mirror)
    private = mirror.selection.private
    for project in projects:
        if not private.has_files(project):
            private.check(project)
    now, selects = mirror.clock.now(), mirror.selection.wants
    named = await mirror.ledger.named()
    unselected = {project: now for project in projects if not selects(project)}
    if unselected.keys() - named.requested.keys() or named.deleted.keys() & {*projects}:
        await mirror.ledger.change_named(
            lambda named: named.restoring(projects).requesting(unselected)
        )


async def delete(mirror: Mirror, projects: Collection[NormalizedName]) -> None:
    """Keep projects out of the mirror; the next plan removes them.

    They no longer lag: nobody waits for them.
    """
    now, selection = mirror.clock.now(), mirror.selection
    deleted = {
        project: Deletion(at=now, entry=selection.entry(project), pending=True)
        for project in projects
    }
    await mirror.ledger.change_named(lambda named: named.deleting(deleted))
    if (await mirror.ledger.lagging()).keys() & deleted.keys():
        await mirror.ledger.change_lagging(
            lambda lagging: {name: entry for name, entry in lagging.items() if name not in deleted}
        )


async def read_named(cursor: Cursor, ledger: Ledger, *, verify: bool) -> NamedProjects:
    """Return the named projects, if the cursor says that there may be any.

    With `verify` it is not believed: somebody may have put an older one back.
    """
    return await ledger.named() if cursor.named or verify else NO_NAMED_PROJECTS


def settle(
    named: NamedProjects, selection: Selection, removed: Iterable[NormalizedName] = ()
) -> NamedProjects:
    """Return the named projects without those that the configuration asks for again. Pure.

    It does when it names a deleted project in another way than before. `removed` are no longer
    pending: a run removes them.
    """
    deleted: dict[NormalizedName, Deletion] = {}
    removed = frozenset(removed)
    for project, deletion in named.deleted.items():
        entry = selection.entry(project)
        if entry in {"", deletion.entry}:
            pending = deletion.pending and project not in removed
            deleted[project] = replace(deletion, entry=entry, pending=pending)
    return replace(named, deleted=deleted)


def polled_names(selection: Selection, discovery: str) -> Sequence[NormalizedName] | None:
    """Return the names of a short allowlist, which are polled one by one; None: all there are."""
    exact = selection.exact_projects
    is_short = exact is not None and len(exact) <= _MAX_POLLED_NAMES
    if exact is None or discovery == "feed" or not (is_short or discovery == "names"):
        return None
    named = filter(selection.wants, {*exact, *selection.named.requested})
    return sorted(name for name in named if not selection.private.has(name))
